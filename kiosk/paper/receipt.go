package paper

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"cunban/kiosk/cases"
	"cunban/kiosk/resident"
)

// Material is one thing handed in or owed.
type Material struct {
	Name  string
	How   string // how it came: 读卡, 拍照, 电子表单; "" = not said
	Pages int    // captured pages, 0 = does not apply
}

// how says in brackets how it came, "" when that is not said.
func (m Material) how() string {
	how := m.How
	if m.Pages > 0 {
		how = strings.TrimSpace(fmt.Sprintf("%s %d 页", how, m.Pages))
	}
	if how == "" {
		return ""
	}
	return "（" + how + "）"
}

// owedHint stands under materials that are owed.
const owedHint = "待补的材料请尽快带到本服务点补交，补齐后县里才能办结。"

// ReceiptData is what a receipt shows. Names and numbers are masked by their
// types; nothing else of the form's content is on the receipt.
type ReceiptData struct {
	Case      cases.Case
	Claim     resident.Claim // the applicant
	Agent     resident.Name  // 代办人, zero when none
	Received  []Material     // handed in; Case.Outstanding is what is owed
	Office    Office
	QR        string   // text of the QR code (oplog.Receipt.Text); "" = none
	Next      []string // what happens next; nil = by state
	PrintedAt time.Time
	Demo      bool // also on when the case or the claim is marked
}

func (d ReceiptData) demo() bool { return d.Demo || d.Case.Demo || d.Claim.Demo }

// Receipt makes the receipt (办件回执), one page of A4 unless there is very
// much to list.
func Receipt(r ReceiptData) ([]byte, error) {
	d := newDoc("办件回执", r.PrintedAt)
	d.head(r.Office, "办件回执")
	d.state(r.Case)

	d.pairs([]pair{
		{label: "办理事项", value: r.Case.ServiceName, strong: true},
		{label: "办件编号", value: shortID(r.Case.ID)},
	}, 1)
	revision := ""
	if r.Case.Revision > 1 {
		revision = fmt.Sprintf("第 %d 次提交", r.Case.Revision)
	}
	agent := ""
	if !r.Agent.IsZero() {
		agent = r.Agent.String()
	}
	d.pairs([]pair{
		{label: "申请人", value: r.Claim.Name.String(), strong: true},
		{label: "证件号码", value: r.Claim.Number.String()},
		{label: "提交时间", value: momentText(r.Case.SavedAt)},
		{label: "办理方式", value: ModeWords(r.Case.Mode)},
		{label: "代办人", value: agent},
		{label: "提交次数", value: revision},
		{label: "承诺办结", value: promised(r.Case), strong: true},
	}, 2)
	d.y += 2.5

	d.materials(r.Received, r.Case.Outstanding)
	if list := mendLines(r.Case); len(list) > 0 {
		d.section("要补正的内容")
		d.steps(list, contentW)
		d.y += 1.5
	}
	if r.Case.Note != "" {
		d.section("县里的答复")
		h := d.height(contentW, 11.5, regular, r.Case.Note)
		d.need(h)
		d.y += d.block(marginX, d.y, contentW, 11.5, regular, ink, r.Case.Note) + 2
	}
	next := r.Next
	if next == nil {
		next = nextSteps(r.Case, r.Office)
	}
	d.foot(next, r.Office, r.QR)
	left := fmt.Sprintf("终端 %s　打印时间 %s", cmp.Or(r.Office.Terminal, "—"), momentText(r.PrintedAt))
	if r.Case.LogIndex > 0 || r.QR != "" {
		left += fmt.Sprintf("　操作日志第 %d 号", r.Case.LogIndex)
	}
	return d.finish(left, r.demo())
}

// state draws the large box that answers the one question everybody has.
func (d *doc) state(c cases.Case) {
	head, sentence := StateWords(c.State)
	bg, fg := goodBg, good
	switch c.State {
	case cases.Saved, cases.Returned, cases.Attention:
		bg, fg = warnBg, warn
	case cases.Refused:
		bg, fg = badBg, bad
	case cases.Withdrawn:
		bg, fg = ground, soft
	case cases.Accepted, cases.Processing, cases.Finished:
	}
	number := ""
	if c.Acceptance != "" {
		number = c.Acceptance
	}
	textH := d.height(contentW-16, 11.5, regular, sentence)
	h := 6 + 11 + textH + 4
	if number != "" {
		h += 8.5
	}
	d.card(marginX, d.y, contentW, h, bg, 0)
	d.bar(marginX, d.y+2, 1.6, h-4, fg)
	y := d.y + 5
	d.text(marginX+8, y, 23, bold, fg, head)
	y += 11.5
	if number != "" {
		d.text(marginX+8, y+1.1, 11.5, regular, soft, "受理编号")
		d.text(marginX+8+d.width(11.5, regular, "受理编号")+4, y, 16, bold, ink, number)
		if when := momentText(c.AcceptedAt); when != "" {
			d.textRight(pageW-marginX-6, y+1.1, 11.5, regular, soft, "受理时间 "+when)
		}
		y += 8.5
	}
	d.block(marginX+8, y, contentW-16, 11.5, regular, ink, sentence)
	d.y += h + 5
}

func promised(c cases.Case) string {
	switch c.State {
	case cases.Finished, cases.Refused, cases.Withdrawn:
		return ""
	case cases.Saved, cases.Accepted, cases.Processing, cases.Returned, cases.Attention:
	}
	if c.DueDate == "" {
		return "当场办结，以县里答复为准"
	}
	return dueText(c.DueDate) + "前答复"
}

// materials draws what was handed in beside what is still owed.
func (d *doc) materials(got []Material, owed []string) {
	if len(got) == 0 && len(owed) == 0 {
		return
	}
	d.section("材料")
	for _, m := range got {
		d.tick(m.Name+m.how(), good, "已收")
	}
	for _, m := range owed {
		d.tick(m, orange, "待补")
	}
	if len(owed) > 0 {
		h := d.height(contentW-18, 10.5, regular, owedHint)
		d.need(h + 1)
		d.y += d.block(marginX+18, d.y, contentW-18, 10.5, regular, warn, owedHint) + 1
	}
	d.y += 1.5
}

// tick draws one line with a word mark before it (a word, so that it never
// depends on colour alone).
func (d *doc) tick(s string, c color, mark string) {
	h := d.height(contentW-18, 11.5, regular, s)
	d.need(h + 1.4)
	d.card(marginX, d.y+0.7, 13, 5.2, white, c)
	d.textMid(marginX+6.5, d.y+1.5, 9.5, bold, c, mark)
	d.block(marginX+18, d.y+0.2, contentW-18, 11.5, regular, ink, s)
	d.y += h + 1.4
}

// nextSteps says what happens next, by state.
func nextSteps(c cases.Case, o Office) []string {
	ask := "有疑问请找首问责任人，或打 " + o.consult() + "。"
	look := "想知道办到哪一步，随时带卡来点“查办理进度”，也能补打回执。"
	switch c.State {
	case cases.Saved:
		return []string{
			"终端连上县里后自动上传，得到受理编号才算县里已受理。",
			look,
			"三天后还显示“待上传”，请告诉首问责任人。",
		}
	case cases.Accepted, cases.Processing:
		due := "县里办好后，结果会传到终端。"
		if c.DueDate != "" {
			due = "县里在 " + dueText(c.DueDate) + " 前办好，结果会传到终端。"
		}
		return []string{due, look, ask}
	case cases.Returned:
		return []string{
			"带卡来点“查办理进度”，打开这件，只改要补正的几项。",
			"改好后再提交一次，编号不变。", ask,
		}
	case cases.Finished:
		return []string{"请保存好这张回执。", ask}
	case cases.Refused:
		return []string{
			"看一看上面的理由；条件变了可以重新申请。",
			"不同意的，可以打监督电话 " + o.complaint() + "，也可以依法申请行政复议。",
		}
	case cases.Withdrawn:
		return []string{"需要时带卡来重新申请，材料要再交一次。", ask}
	case cases.Attention:
		return []string{"申请没有丢，不用重新填。", "工作人员处理后会再上传。", ask}
	}
	return []string{ask}
}

// Measures of the receipt's foot, in millimetres.
const (
	contactsH  = 37.0 // the box with whom to ask
	codeWordsH = 20.0 // the words under it
)

// What the receipt says of its code. A person need not do anything with it.
const (
	codeTitle = "右边的码有什么用"
	codeWords = "它证明这件办件已记进终端的操作日志，以后谁也改不了、删不掉。码里没有您的姓名和证件号码，平时用不着它。" +
		"要核对时，把这张纸交给县人社局；也可以扫出码里的文字，照《怎样核对回执》自己核对。"
	codeUnder = "核验码：证明这件已记入日志"
)

// foot draws what happens next, who answers, and the code, which stands at the
// right foot of the last page. On a full page what happens next stands beside
// the code, so that neither needs a page of its own.
func (d *doc) foot(next []string, o Office, qrText string) {
	var bits [][]bool
	if qrText != "" {
		bits = encodeQR(qrText, codeSide)
	}
	h, w := contactsH+1, contentW // of the block with contacts and code
	if bits != nil {
		quiet := quietZone * codeSide / float64(len(bits))
		h, w = codeSide+codeLabel+quiet, contentW-codeSide-9
	}
	left := contentW
	beside := sectionH + d.stepsHeight(next, w) + contactsH + 1
	if d.y+sectionH+d.stepsHeight(next, contentW)+h > bottomY && d.y+h <= bottomY && d.y+beside <= bottomY {
		left = w
	}
	d.section("接下来")
	d.steps(next, left)
	if left == contentW {
		d.need(h)
	}
	d.answers(o, w, bits != nil)
	if bits != nil {
		x, y := pageW-marginX-codeSide, bottomY-codeSide-codeLabel
		d.qr(x, y, codeSide, bits)
		d.textMid(x+codeSide/2, y+codeSide+2.2, codeLabelPt, regular, soft, codeUnder)
	}
	d.y = bottomY
}

// contacts draws the last block of a paper without a code: who answers. It
// stands at the foot of the last page.
func (d *doc) contacts(o Office) {
	d.need(contactsH + 1)
	d.answers(o, contentW, false)
	d.y = bottomY
}

// answers draws who answers, w wide, and where there is room what the code is
// for, down to the foot of the page.
func (d *doc) answers(o Office, w float64, code bool) {
	y := bottomY - contactsH - 1
	if code && d.y+codeWordsH+contactsH+1 <= bottomY {
		d.text(marginX+6, bottomY-codeWordsH+1.5, 9.5, bold, soft, codeTitle)
		d.block(marginX+6, bottomY-codeWordsH+5.5, w-6, codeLabelPt, regular, soft, codeWords)
		y -= codeWordsH
	}
	d.card(marginX, y, w, contactsH, ground, 0)
	for i, r := range [][2]string{{"首问责任人", o.person()}, {"联系电话", cmp.Or(o.PersonPhone, askAtPoint)},
		{"政策咨询", o.consult()}, {"监督投诉", o.complaint()}} {
		yy := y + 2.9 + float64(i)*8.5
		d.text(marginX+6, yy+0.6, 11, regular, soft, r[0])
		for _, l := range d.wrap(r[1], w-40, 13, bold)[:1] {
			d.text(marginX+36, yy, 13, bold, ink, l)
		}
	}
}
