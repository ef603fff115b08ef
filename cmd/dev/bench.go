package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// figure is one row: ours and a rival's in the same run on the same machine.
// Ratio is ours divided by the rival's; less is better everywhere.
type figure struct {
	Name  string  `json:"name"`
	Unit  string  `json:"unit"`
	Ours  float64 `json:"ours"`
	Rival string  `json:"rival"`
	Other float64 `json:"other"`
	Ratio float64 `json:"ratio"`
	Note  string  `json:"note,omitempty"`
}

// measurement makes rows. Its group is the part of the house that they are of.
type measurement struct {
	group, name string
	run         func(ctx context.Context, s benchStage) ([]figure, error)
}

type benchStage struct {
	root, bin string
	rounds    int
	cases     string // sizes of grown vaults
}

var measurements = []measurement{
	{"screen", "screen", benchScreen},
	{"devices", "card", benchCard},
	{"devices", "imaging", benchImaging},
	{"devices", "preview", benchLive},
	{"vault", "submit", benchSubmit},
	{"vault", "growth", benchGrowth},
	{"log", "verify", benchLog},
}

func measurementNames(m measurement) []string { return []string{m.group, m.name} }

func benchCmd(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	yes := fs.Bool("yes", false, "install what is missing without asking")
	only := fs.String("only", "", "only these or these groups, comma between: "+offer(measurements, measurementNames))
	file := fs.String("json", "", "write the figures to this file too")
	rounds := fs.Int("rounds", 5, "how often each start and each card is measured; the median counts")
	grown := fs.String("cases", "2000,100000", "sizes of the grown vaults, comma between; 1000000 takes minutes and 6 GB once")
	if err := parse(fs, args); err != nil {
		return err
	}
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	list := measurements
	if *only != "" {
		if list, err = choose(list, measurementNames, *only); err != nil {
			return err
		}
	}
	if err := install(ctx, *yes, debsBuild, debsRun, debsHeadless, debsTest, debsBench); err != nil {
		return err
	}
	bin, err := build(ctx, root, programs...)
	if err != nil {
		return err
	}
	var all []figure
	var failed error
	for _, m := range list {
		rows, err := m.run(ctx, benchStage{root: root, bin: bin, rounds: *rounds, cases: *grown})
		all = append(all, rows...)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", m.name, err))
		}
	}
	rows := [][]string{{"figure", "unit", "village", "rival", "rival's", "ratio", "note"}}
	for i := range all {
		f := &all[i]
		f.Ratio = f.Ours / f.Other
		rows = append(rows, []string{f.Name, f.Unit, fmt.Sprintf("%.4g", f.Ours), f.Rival, fmt.Sprintf("%.4g", f.Other), fmt.Sprintf("%.2f", f.Ratio), f.Note})
	}
	if err := writeTable(os.Stdout, rows); err != nil {
		return err
	}
	return errors.Join(failed, writeJSON(*file, all))
}

// enrolledStage sets a stage with a terminal that is enrolled and stopped.
func enrolledStage(ctx context.Context, b benchStage) (*stage, *player, error) {
	dir, err := os.MkdirTemp(filepath.Join(b.root, ".run"), "stage-")
	if err != nil {
		return nil, nil, fmt.Errorf("make a data folder: %w", err)
	}
	s, err := setStage(ctx, stageOptions{root: b.root, bin: b.bin, dir: dir, w: 1920, h: 1080})
	if err != nil {
		return s, nil, err
	}
	if err := s.startKiosk(ctx); err != nil {
		return s, nil, err
	}
	p := &player{st: s}
	if err := p.enrol(ctx); err != nil {
		return s, p, err
	}
	return s, p, s.stopKiosk(ctx)
}

// strikeAll strikes the stage and removes what it wrote.
func strikeAll(s *stage) {
	if s != nil {
		s.strike()
		_ = os.RemoveAll(s.dir)
	}
}

// Both programs are started on an empty screen and are there when the colour of
// the top bar is: the same eye for both.
const (
	barX, barY = 1500, 8
	barColour  = "#12407A"
	memorySoak = 5 * time.Second
)

func benchScreen(ctx context.Context, b benchStage) ([]figure, error) {
	s, p, err := enrolledStage(ctx, b)
	defer strikeAll(s)
	if err != nil {
		return nil, err
	}
	page := filepath.Join(s.dir, "home.html")
	if err := os.WriteFile(page, []byte(homeHTML(b.root)), 0o600); err != nil {
		return nil, fmt.Errorf("rival's page: %w", err)
	}
	var times, memory, otherTimes, otherMemory []float64
	for range b.rounds {
		at := time.Now()
		if err := s.startKiosk(ctx); err != nil {
			return nil, err
		}
		if err := p.colour(ctx, at); err != nil {
			return nil, err
		}
		times = append(times, since(at))
		if _, err := p.page(ctx, "home"); err != nil {
			return nil, err
		}
		pause(ctx, memorySoak)
		memory = append(memory, float64(pss(s.kiosk.cmd.Process.Pid))/(1<<20))
		if err := s.stopKiosk(ctx); err != nil {
			return nil, err
		}

		profile, err := os.MkdirTemp(s.dir, "chromium-")
		if err != nil {
			return nil, fmt.Errorf("rival's profile: %w", err)
		}
		at = time.Now()
		c, err := start(ctx, s.logDir, "chromium", "", 0, []string{"DISPLAY=" + s.display, "HOME=" + profile}, "chromium", "--kiosk", "--no-sandbox",
			"--no-first-run", "--disable-extensions", "--disable-background-networking", "--window-size=1920,1080", "--window-position=0,0",
			"--user-data-dir="+profile, "file://"+page)
		if err != nil {
			return nil, err
		}
		err = p.colour(ctx, at)
		otherTimes = append(otherTimes, since(at))
		if err == nil {
			pause(ctx, memorySoak)
			otherMemory = append(otherMemory, float64(pss(c.cmd.Process.Pid))/(1<<20))
		}
		c.stop()
		if err != nil {
			return nil, fmt.Errorf("chromium: %w\n%s", err, tail(filepath.Join(s.logDir, "chromium.log"), 8))
		}
	}
	note := fmt.Sprintf("median of %d; the terminal opens its vault, devices and line meanwhile, the page is static", b.rounds)
	return []figure{
		{Name: "start to first page", Unit: "s", Ours: quantile(times, .5), Rival: "chromium --kiosk", Other: quantile(otherTimes, .5), Note: note},
		{Name: "memory, home page (PSS of all processes)", Unit: "MB", Ours: quantile(memory, .5), Rival: "chromium --kiosk", Other: quantile(otherMemory, .5)},
	}, nil
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// colour waits until the place of the top bar has its colour.
func (p *player) colour(ctx context.Context, at time.Time) error {
	for time.Since(at) < firstScreen {
		out, err := output(ctx, p.env(), "import", "-silent", "-window", "root", "-crop", fmt.Sprintf("1x1+%d+%d", barX, barY), "-depth", "8", "txt:-")
		if err != nil {
			return err
		}
		if strings.Contains(string(out), barColour) {
			return nil
		}
	}
	return fmt.Errorf("the colour %s did not come to %d,%d in %s", barColour, barX, barY, firstScreen)
}

// homeHTML is the home page as a static page, for the rival.
func homeHTML(root string) string {
	tiles := ""
	for _, t := range [][2]string{{"我要找工作", "看招聘岗位、求职登记、失业登记<br>等 15 项"}, {"我要学技术", "培训报名、查培训班、查技能证书<br>等 4 项"},
		{"我要办社保", "待遇资格认证、养老保险参保登记<br>等 18 项"}, {"我要用社保卡", "查社保卡、启用、挂失、解挂<br>等 3 项"}, {"查办理进度", ""}, {"办事指南", ""}} {
		tiles += "<div class=t><b>" + t[0] + "</b><p>" + t[1] + "</p></div>"
	}
	return `<!doctype html><meta charset=utf-8><style>
@font-face{font-family:N;src:url("file://` + root + `/assets/fonts/NotoSansSC-Regular.ttf")}
@font-face{font-family:N;font-weight:700;src:url("file://` + root + `/assets/fonts/NotoSansSC-Bold.ttf")}
*{box-sizing:border-box}body{margin:0;font:33px N;color:#14202E;background:#F3F6FA;height:1080px;overflow:hidden}
header{background:` + barColour + `;color:#fff;height:114px;padding:30px 48px;font-weight:700;font-size:40px}
main{display:grid;grid-template-columns:1.1fr 2fr;gap:24px;padding:90px 48px 30px;height:830px}
.h,.t{background:#fff;border:2px solid #D5DDE8;border-radius:20px;padding:28px}.h{display:flex;flex-direction:column;justify-content:center;text-align:center}
.h b{font-size:56px}.g{display:grid;grid-template-columns:1fr 1fr;gap:24px}.t b{font-size:46px}
footer{background:#fff;border-top:2px solid #D5DDE8;height:134px;padding:30px 48px}</style>
<header>芮城县就业社保服务　古魏镇 东关社区　10:03　已联网　呼叫帮办</header>
<main><div class=h><b>请插入社保卡<br>或放上身份证</b><p>没带卡、看不清、不会用？<br>请按右上角“呼叫帮办”</p></div><div class=g>` + tiles + `</div></main>
<footer>大字　声音 开　夜间　　咨询电话 12333　　工作人员</footer>`
}

// benchLines reads the output of go test -bench: name → unit → value.
func benchLines(out []byte) map[string]map[string]float64 {
	all := map[string]map[string]float64{}
	for in := bufio.NewScanner(bytes.NewReader(out)); in.Scan(); {
		f := strings.Fields(in.Text())
		if len(f) < 4 || !strings.HasPrefix(f[0], "Benchmark") {
			continue
		}
		name, _, _ := strings.Cut(f[0], "-")
		m := map[string]float64{}
		for i := 2; i+1 < len(f); i += 2 {
			if v, err := strconv.ParseFloat(f[i], 64); err == nil {
				m[f[i+1]] = v
			}
		}
		all[name] = m
	}
	return all
}
