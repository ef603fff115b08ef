// Package specimen makes pictures of pages as a village's document camera
// takes them: skewed, on wood, in shadow, blurred, with glare, cut off, folded.
// It exists so that page imaging is measured against the truth: where the
// corners are and whether a person could use the page are known because the
// picture was made.
//
// It guarantees that the same number gives the same picture. Names and numbers on
// the pages are made up.
package specimen

import (
	"fmt"
	"image"
	"image/color"
	"math"
	"math/rand/v2"
	"strings"
	"sync"

	"golang.org/x/image/font"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"

	"cunban/assets"
	"cunban/device/scan/imaging"
)

// Kind is what is special about a picture; a closed set.
type Kind string

// Kinds. The first are fit for a file, the others are not.
const (
	Straight Kind = "straight" // from above, turned a little
	Skewed   Kind = "skewed"   // turned by up to 12°
	Oblique  Kind = "oblique"  // seen from the side
	Shadowed Kind = "shadowed" // the hand's shadow lies over it
	Folded   Kind = "folded"   // a corner is folded over
	Blurred  Kind = "blurred"  // out of focus
	Moved    Kind = "moved"    // moved while it was taken
	Glare    Kind = "glare"    // a lamp is mirrored on it
	CutOff   Kind = "cut off"  // a part is outside the picture
	Dark     Kind = "dark"     // the light is off
)

// Kinds are all of them.
var Kinds = []Kind{Straight, Skewed, Oblique, Shadowed, Folded, Blurred, Moved, Glare, CutOff, Dark}

// Good tells whether a page of this kind may be used.
func (k Kind) Good() bool {
	switch k {
	case Straight, Skewed, Oblique, Shadowed, Folded:
		return true
	case Blurred, Moved, Glare, CutOff, Dark:
		return false
	}
	panic("specimen: no kind " + string(k))
}

// Specimen is a made picture and the truth about it.
type Specimen struct {
	Kind   Kind
	Ground string // what it lies on
	Image  *image.RGBA
	Quad   imaging.Quad // where the sheet's corners are, also outside the picture
	Page   *image.Gray  // the clean original, A4 upright at 200 dpi
	Text   string       // what is written on it, line by line
}

// A4 at 200 dpi, pixels.
const (
	PageW, PageH = 1654, 2339
	margin       = 170
)

// words are what made-up papers say.
var words = strings.Fields(`户口登记簿 户主 姓名 住址 芮城县 古魏镇 东关社区 村民委员会 证明 兹有 我村 居民 参加 城乡居民 养老保险 缴费 档次 
	年度 补贴 账户 待遇 领取 申请 表 身份证 号码 登记 日期 盖章 经办人 审核 同意 办理 就业 失业 培训 岗位 苹果 花椒 果园 收购 合作社
	劳动 合同 期限 工资 每月 元 自愿 承诺 内容 属实 如有 不实 承担 责任 联系 电话 家庭 成员 关系 子女 配偶 父亲 母亲`)

// Maker makes specimens of one size. It is safe for concurrent use.
type Maker struct {
	w, h int

	mu   sync.Mutex // a face is for one at a time
	face font.Face
	head font.Face
}

// New makes a Maker of pictures of w×h pixels.
func New(w, h int) (*Maker, error) {
	f, err := opentype.Parse(assets.FontRegular())
	if err != nil {
		return nil, fmt.Errorf("specimen: %w", err)
	}
	m := &Maker{w: w, h: h}
	for _, x := range []struct {
		to *font.Face
		pt float64
	}{{&m.face, 12}, {&m.head, 20}} {
		if *x.to, err = opentype.NewFace(f, &opentype.FaceOptions{Size: x.pt, DPI: imaging.TargetDPI}); err != nil {
			return nil, fmt.Errorf("specimen: %w", err)
		}
	}
	return m, nil
}

// Make makes the picture of a number.
func (m *Maker) Make(kind Kind, number uint64) *Specimen {
	rng := rand.New(rand.NewPCG(number, 7))
	s := &Specimen{Kind: kind}
	s.Page, s.Text = m.page(rng)
	s.Quad = m.lay(kind, rng)
	g := grounds[rng.IntN(len(grounds))]
	s.Ground = g.name
	s.Image = m.take(s, g, rng)
	return s
}

// page writes a page.
func (m *Maker) page(rng *rand.Rand) (*image.Gray, string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := image.NewGray(image.Rect(0, 0, PageW, PageH))
	for i := range p.Pix {
		p.Pix[i] = 255
	}
	var all []string
	draw := func(face font.Face, y int, line string) {
		d := font.Drawer{Dst: p, Src: image.NewUniform(color.Gray{Y: 30}), Face: face, Dot: fixed.P(margin, y)}
		d.DrawString(line)
		all = append(all, line)
	}
	draw(m.head, 240, words[rng.IntN(len(words))]+words[rng.IntN(len(words))])
	lines := 12 + rng.IntN(20)
	for i := range lines {
		var b strings.Builder
		for n := 10 + rng.IntN(24); len([]rune(b.String())) < n; {
			b.WriteString(words[rng.IntN(len(words))])
		}
		line := []rune(b.String())
		draw(m.face, 330+i*60, string(line[:min(len(line), 36)]))
	}
	return p, strings.Join(all, "\n")
}

// lay puts the sheet in front of the camera.
func (m *Maker) lay(kind Kind, rng *rand.Rand) imaging.Quad {
	w, h := float64(m.w), float64(m.h)
	turn, tilt, size := 3.0, 0.02, 0.80
	switch kind {
	case Skewed:
		turn = 12
	case Oblique:
		tilt = 0.14
	case Straight, Shadowed, Folded, Blurred, Moved, Glare, CutOff, Dark:
	}
	angle := (rng.Float64()*2 - 1) * turn * math.Pi / 180
	if kind == Skewed && math.Abs(angle) < 4*math.Pi/180 {
		angle = math.Copysign(4*math.Pi/180, angle)
	}
	size *= 0.85 + 0.15*rng.Float64()
	// The longer side of the sheet lies along the longer side of the picture.
	pw, ph := size*h/math.Sqrt2, size*h
	if w > h {
		pw, ph = size*h*math.Sqrt2, size*h
		if pw > size*w {
			pw, ph = size*w, size*w/math.Sqrt2
		}
	}
	sin, cos := math.Sincos(angle)
	mid := imaging.Point{X: w/2 + (rng.Float64()*2-1)*w*0.02, Y: h/2 + (rng.Float64()*2-1)*h*0.02}
	if kind == CutOff {
		out := 0.10 + 0.12*rng.Float64()
		switch rng.IntN(4) {
		case 0:
			mid.X = pw/2 - out*pw
		case 1:
			mid.X = w - pw/2 + out*pw
		case 2:
			mid.Y = ph/2 - out*ph
		default:
			mid.Y = h - ph/2 + out*ph
		}
	}
	// A pinhole camera above the table: what is further away is smaller.
	ax, ay := (rng.Float64()*2-1)*tilt/max(pw, ph)*2, (rng.Float64()*2-1)*tilt/max(pw, ph)*2
	var q imaging.Quad
	for i, c := range [4][2]float64{{-1, -1}, {1, -1}, {1, 1}, {-1, 1}} {
		x, y := c[0]*pw/2, c[1]*ph/2
		x, y = x*cos-y*sin, x*sin+y*cos
		z := 1 + ax*x + ay*y
		q[i] = imaging.Point{X: mid.X + x/z, Y: mid.Y + y/z}
	}
	return q
}
