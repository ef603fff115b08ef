package paper

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"cunban/kiosk/cases"
	"cunban/kiosk/catalog"
	"cunban/kiosk/resident"
)

// NoticeData is what a one-time notice shows.
type NoticeData struct {
	Service   *catalog.Service
	Office    Office
	Steps     []string // how it goes; nil = the usual way at this terminal
	PrintedAt time.Time
	Demo      bool
}

// Notice makes the 一次性告知书 of a service: the eleven things a person must
// be told at once and in writing (项目、条件、依据、材料、程序、时限、收费、
// 结果、地点、咨询、监督).
func Notice(n NoticeData) ([]byte, error) {
	if n.Service == nil {
		return nil, fmt.Errorf("paper: notice without a service")
	}
	s, o := n.Service, n.Office
	d := newDoc("一次性告知书", n.PrintedAt)
	d.head(o, "一次性告知书")
	d.y += d.block(marginX, d.y, contentW, 12, regular, ink,
		"您要办的这件事，需要知道的都写在这里。照着准备一次，就不用跑第二趟。") + 3

	steps := n.Steps
	if steps == nil {
		steps = usualSteps(s)
	}
	items := []struct {
		label string
		text  string
	}{
		{"办什么事", s.Name},
		{"谁可以办", s.Applicant + "。不符合条件的，当场告诉您理由。"},
		{"凭什么办", cmp.Or(s.LimitBasis, "以县人社局公布为准") + "；《社会保险经办条例》《就业促进法》等。"},
		{"带什么来", materialText(s.Materials)},
		{"怎么办", numbered(steps)},
		{"多久办好", limitText(s)},
		{"收不收钱", "不收费。查询、咨询、打印也不收费。"},
		{"办成什么样", s.Result},
		{"在哪里办", placeText(o)},
		{"问谁", fmt.Sprintf("首问责任人：%s　电话：%s\n政策咨询电话：%s", o.person(), cmp.Or(o.PersonPhone, askAtPoint), o.consult())},
		{"向谁投诉", "监督投诉电话：" + o.complaint()},
	}
	for i, it := range items {
		d.noticeRow(i+1, it.label, it.text)
	}
	if len(s.Notice) > 0 {
		d.y += 3
		d.section("请留意")
		for _, line := range s.Notice {
			h := d.height(contentW-8, 11.5, regular, line)
			d.need(h + 1)
			d.disc(marginX+2, d.y+lineHeight(11.5)/2, 0.8, orange)
			d.block(marginX+6, d.y, contentW-8, 11.5, regular, ink, line)
			d.y += h + 1
		}
	}
	left := fmt.Sprintf("终端 %s　打印时间 %s", cmp.Or(o.Terminal, "—"), momentText(n.PrintedAt))
	return d.finish(left, n.Demo)
}

// noticeRow draws one of the eleven rows.
func (d *doc) noticeRow(n int, label, text string) {
	const x = marginX + 38
	const w = contentW - 40
	h := max(d.height(w, 11.5, regular, text), lineHeight(11.5)) + 4.2
	d.need(h)
	d.disc(marginX+3, d.y+h/2, 2.9, blue)
	d.textMid(marginX+3, d.y+h/2-9*ptMM*0.52, 9, bold, white, fmt.Sprint(n))
	d.text(marginX+9, d.y+h/2-12.5*ptMM/2, 12.5, bold, blue, label)
	d.block(x, d.y+2.1, w, 11.5, regular, ink, text)
	d.y += h
	d.rule(marginX, d.y, contentW, hair, 0.2)
}

func numbered(list []string) string {
	var b strings.Builder
	for i, s := range list {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%d. %s", i+1, s)
	}
	return b.String()
}

func usualSteps(s *catalog.Service) []string {
	if s.Kind == catalog.Ask {
		return []string{"插入社保卡或放上身份证。", "在屏幕上看结果，需要时打印。"}
	}
	return []string{
		"插入社保卡或放上身份证，读出姓名号码。",
		"一页答一个问题，缺的材料可以以后补交。",
		"核对、签名、提交，打印回执。",
		"县里受理后给受理编号，按时限答复。",
	}
}

func materialText(list []catalog.Material) string {
	if len(list) == 0 {
		return "不用带材料，带本人社保卡或身份证即可。"
	}
	var out []string
	for _, m := range list {
		s := m.Name
		if !m.Required {
			s += "（有的带上）"
		}
		if m.Note != "" {
			s += "：" + m.Note
		}
		out = append(out, s)
	}
	return numbered(out) + "\n除以上材料外，不再要您提供别的证明。"
}

func limitText(s *catalog.Service) string {
	t := "当场办好。"
	if s.LimitDays > 0 {
		t = fmt.Sprintf("受理后 %d 个工作日内答复。", s.LimitDays)
	}
	if s.LimitStatus == catalog.LimitDraft {
		t += "（以县人社局公布为准）"
	}
	return t
}

func placeText(o Office) string {
	t := o.point()
	if o.Address != "" {
		t += "，" + o.Address
	}
	t += "的自助终端，村里工作人员可以帮办；行动不便的可以上门。"
	if o.Hours != "" {
		t += "\n有人值守的时间：" + o.Hours
	}
	return t
}

// ProgressData is what a progress slip shows.
type ProgressData struct {
	Case      cases.Case
	Claim     resident.Claim
	Events    []cases.Event // oldest first
	Office    Office
	PrintedAt time.Time
	Demo      bool
}

// Progress makes the slip of a case's timeline.
func Progress(p ProgressData) ([]byte, error) {
	d := newDoc("办理进度单", p.PrintedAt)
	d.head(p.Office, "办理进度单")
	d.state(p.Case)
	d.pairs([]pair{
		{label: "办理事项", value: p.Case.ServiceName, strong: true},
		{label: "办件编号", value: shortID(p.Case.ID)},
	}, 1)
	d.pairs([]pair{
		{label: "申请人", value: p.Claim.Name.String(), strong: true},
		{label: "证件号码", value: p.Claim.Number.String()},
		{label: "承诺办结", value: promised(p.Case), strong: true},
		{label: "提交时间", value: momentText(p.Case.SavedAt)},
	}, 2)
	d.y += 3
	d.section("办理经过")
	for i, e := range p.Events {
		text := e.Text
		if text == "" {
			text, _ = StateWords(e.State)
		}
		h := max(d.height(contentW-62, 11.5, regular, text), lineHeight(11.5)) + 3.4
		d.need(h)
		mid := d.y + lineHeight(11.5)/2
		last := i == len(p.Events)-1
		if !last && d.y+h < bottomY {
			d.bar(marginX+51.75, mid, 0.5, h, hair)
		}
		c := blue
		if last {
			c = orange
		}
		d.disc(marginX+52, mid, 1.7, c)
		d.text(marginX, d.y+(lineHeight(11.5)-11*ptMM)/2, 11, regular, soft, momentText(e.At))
		d.block(marginX+58, d.y, contentW-62, 11.5, face(last), ink, text)
		d.y += h
	}
	if len(p.Events) == 0 {
		d.y += d.block(marginX, d.y, contentW, 11.5, regular, soft, "还没有办理记录。")
	}
	if list := mendLines(p.Case); len(list) > 0 {
		d.y += 2
		d.section("要补正的内容")
		d.steps(list, contentW)
	}
	d.contacts(p.Office)
	left := fmt.Sprintf("终端 %s　打印时间 %s", cmp.Or(p.Office.Terminal, "—"), momentText(p.PrintedAt))
	return d.finish(left, p.Demo || p.Case.Demo || p.Claim.Demo)
}

// Mark is how a line of a report came out.
type Mark string

// Marks of report lines.
const (
	MarkNone Mark = ""    // a fact, not a check
	MarkPass Mark = "合格"  // checked and fine
	MarkFail Mark = "不合格" // checked and wrong
	MarkWarn Mark = "注意"  // works, somebody should look
	MarkSkip Mark = "未检"  // not checked
)

// maxMarkW is the room of the mark column, in millimetres.
const maxMarkW = 16.0

// ReportLine is one line of a technician's report.
type ReportLine struct {
	Name   string
	Value  string
	Mark   Mark
	Remedy string // what to do, when something is wrong
}

// ReportSection groups lines.
type ReportSection struct {
	Title string
	Lines []ReportLine
}

// ReportData is what a technician's report shows (self-test, acceptance).
type ReportData struct {
	Title      string // 设备自检报告, 服务点验收单, 打印测试页
	Technician string // account number
	Office     Office
	Sections   []ReportSection
	Signatures []string // who signs by hand: 技术员, 村负责人
	PrintedAt  time.Time
	Demo       bool
}

// Report makes a technician's report.
func Report(r ReportData) ([]byte, error) {
	title := cmp.Or(r.Title, "设备自检报告")
	d := newDoc(title, r.PrintedAt)
	d.head(r.Office, title)
	d.pairs([]pair{
		{label: "终端编号", value: cmp.Or(r.Office.Terminal, "—"), strong: true},
		{label: "技术员", value: r.Technician},
		{label: "时间", value: momentText(r.PrintedAt)},
		{label: "结论", value: verdict(r.Sections), strong: true},
	}, 2)
	d.y += 3
	for _, s := range r.Sections {
		d.section(s.Title)
		for _, l := range s.Lines {
			d.reportLine(l)
		}
		d.y += 3
	}
	if len(r.Signatures) > 0 {
		d.need(22)
		d.y += 6
		w := contentW / float64(len(r.Signatures))
		for i, s := range r.Signatures {
			x := marginX + float64(i)*w
			d.text(x, d.y, 11.5, regular, soft, s+"（签字）")
			lw := d.width(11.5, regular, s+"（签字）")
			d.rule(x+lw+1, d.y+5, max(w-lw-6, 10), soft, 0.25)
		}
		d.y += 12
	}
	return d.finish(fmt.Sprintf("终端 %s　打印时间 %s", cmp.Or(r.Office.Terminal, "—"), momentText(r.PrintedAt)), r.Demo)
}

func (d *doc) reportLine(l ReportLine) {
	const vx = marginX + 62
	const vw = contentW - 62 - maxMarkW - 2
	h := max(d.height(vw, 11, regular, l.Value), d.height(58, 11, regular, l.Name))
	rh := 0.0
	if l.Remedy != "" {
		rh = d.height(vw, 10, regular, "处理："+l.Remedy)
	}
	d.need(h + rh + 2)
	d.block(marginX+2, d.y, 58, 11, regular, soft, l.Name)
	d.block(vx, d.y, vw, 11, regular, ink, l.Value)
	if l.Remedy != "" {
		d.block(vx, d.y+h, vw, 10, regular, warn, "处理："+l.Remedy)
	}
	c := soft
	switch l.Mark {
	case MarkPass:
		c = good
	case MarkFail:
		c = bad
	case MarkWarn:
		c = warn
	case MarkNone, MarkSkip:
	}
	d.textRight(pageW-marginX-1, d.y+(lineHeight(11)-11*ptMM)/2, 11, bold, c, string(l.Mark))
	d.y += h + rh + 2
	d.rule(marginX, d.y-1, contentW, hair, 0.2)
}

// verdict counts the marks.
func verdict(list []ReportSection) string {
	n := map[Mark]int{}
	for _, s := range list {
		for _, l := range s.Lines {
			n[l.Mark]++
		}
	}
	switch {
	case n[MarkFail] > 0:
		return fmt.Sprintf("%d 项不合格，%d 项合格", n[MarkFail], n[MarkPass])
	case n[MarkWarn] > 0:
		return fmt.Sprintf("合格，%d 项要注意", n[MarkWarn])
	case n[MarkPass] > 0:
		return fmt.Sprintf("全部合格（%d 项）", n[MarkPass])
	}
	return "—"
}
