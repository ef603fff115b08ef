// Package paper makes what a person takes home or a technician files: the
// receipt (办件回执), the one-time notice (一次性告知书), the progress slip and
// the technician's report, each as an A4 PDF with its Chinese font embedded;
// and it shows such a PDF on the screen through a worker process, because the
// PDF renderer is a C library that may crash.
//
// It guarantees: a person's name and number appear masked; a character that
// the font lacks is printed as 〿 with a remark instead of vanishing; a paper
// from simulated hardware bears 演示 on every page; the same data gives the
// same bytes; and nothing the renderer does (crash, hang, eat memory) reaches
// the terminal.
//
// All functions are safe for concurrent use. The PDFs follow ISO 32000-1 as
// written by gopdf; A4 by GB/T 148 (ISO 216).
package paper

import (
	"cmp"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/signintech/gopdf"

	"cunban/assets"
	"cunban/kiosk/cases"
)

// Office is whom to ask: what every paper says about the service point. Empty
// fields are replaced by where the person can find out.
type Office struct {
	County         string // 芮城县人力资源和社会保障局
	Point          string // 古魏镇某村就业社保服务点
	Address        string // where the point is
	Hours          string // when somebody is there
	Terminal       string // number of the terminal
	Person         string // 首问责任人
	PersonPhone    string // telephone of the 首问责任人
	ConsultPhone   string // 咨询电话; "" = 12333
	ComplaintPhone string // 监督投诉电话
}

// Texts for empty fields of Office.
const (
	ConsultDefault = "12333"
	askAtPoint     = "见服务点公示栏"
	countyDefault  = "县人力资源和社会保障局"
	pointDefault   = "村（社区）就业社保服务点"
)

func (o Office) county() string    { return cmp.Or(o.County, countyDefault) }
func (o Office) point() string     { return cmp.Or(o.Point, pointDefault) }
func (o Office) consult() string   { return cmp.Or(o.ConsultPhone, ConsultDefault) }
func (o Office) complaint() string { return cmp.Or(o.ComplaintPhone, askAtPoint) }

func (o Office) person() string {
	if o.Person == "" {
		return askAtPoint
	}
	return o.Person
}

// StateWords are the plain words for a case's state: a headline and one
// sentence that explains it. The screen uses the same words.
func StateWords(s cases.State) (headline, sentence string) {
	switch s {
	case cases.Saved:
		return "已保存，待上传", "您的申请已经存在这台终端里，不会丢。连上县里后自动上传，不用您再跑一趟。"
	case cases.Accepted:
		return "县里已受理", "县里已经收到您的申请，正在安排办理。"
	case cases.Processing:
		return "办理中", "县里正在办理您的申请。"
	case cases.Returned:
		return "退回补正", "县里请您补正下面的内容，补好后再提交，不用从头填。"
	case cases.Finished:
		return "已办结", "您的申请已经办好了。"
	case cases.Refused:
		return "不予办理", "您的申请没有通过，理由写在下面。不同意的，可以打监督电话。"
	case cases.Withdrawn:
		return "已撤回", "您已撤回这次申请，县里不会办理。需要时可以重新申请。"
	case cases.Attention:
		return "等待人工处理", "上传时遇到问题，申请还在这台终端里，没有丢。工作人员会处理并联系您。"
	}
	return "状态不明", "请把这张回执交给首问责任人。"
}

// ModeWords are the plain words for whose hands filled the form.
func ModeWords(m cases.Mode) string {
	switch m {
	case cases.ModeSelf:
		return "本人自助"
	case cases.ModeAssisted:
		return "帮办"
	case cases.ModeAgent:
		return "代办"
	case cases.ModeVisit:
		return "上门服务"
	}
	return "—"
}

// fonts holds both faces parsed, once per process (some 20 MB; parsing takes
// tens of milliseconds).
var fonts = sync.OnceValues(func() (*gopdf.FontContainer, error) {
	var c gopdf.FontContainer
	for name, data := range map[string][]byte{regular: assets.FontRegular(), bold: assets.FontBold()} {
		if err := c.AddTTFFontData(name, data); err != nil {
			return nil, fmt.Errorf("paper: font %s: %w", name, err)
		}
	}
	return &c, nil
})

// dayText writes a day as people write it; "" for the zero time.
func dayText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return fmt.Sprintf("%d年%d月%d日", t.Year(), int(t.Month()), t.Day())
}

// momentText is dayText with hour and minute.
func momentText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return dayText(t) + t.Format(" 15:04")
}

// dueText writes a YYYY-MM-DD day; anything else is returned as it is.
func dueText(s string) string {
	t, err := time.Parse("2006-01-02", s)
	if err != nil {
		return s
	}
	return dayText(t)
}

// shortID shows a case id in groups that can be read aloud over the phone:
// the UUID upper-case as it is, since it is what the QR code holds too.
func shortID(id string) string { return strings.ToUpper(id) }
