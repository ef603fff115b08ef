// Package simpanel is the small window of the simulated hardware: insert and
// take out cards, unplug readers, take paper away, cut the line. It exists for
// demonstrations and training, and goes through the same door as kioskctl sim.
//
// It guarantees that it shows what the simulator answers, not what was pressed,
// and that a simulator that went away is said in words.
package simpanel

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"

	"cunban/kiosk/ui/theme"
	"cunban/kiosk/ui/widget"
)

// State is how the simulated hardware is.
type State struct {
	Reader, IDReader, Scanner, Line bool
	Card, IDCard, Paper             string
	PINPerson                       string // who is at the PIN pad
	Vendor                          bool   // the board of lights is plugged in
	Lamps                           string // lit on it, comma between
	Receipt                         string // the receipt printer, "" when there is none
	Cards                           []Card // only in the answer to "cards"
}

// Card is a card that can be inserted.
type Card struct{ Name, Title string }

// Door reaches the simulator. It may block for a moment.
type Door interface {
	Do(verb, arg string) (State, error)
}

// panel is the window's content.
type panel struct {
	look  *theme.Look
	door  Door
	post  func(func()) // onto the UI goroutine
	cards []Card
	pick  int
	state State
	err   error
	root  *fyne.Container
}

// every is between looks at the simulator: lamps change without a press here.
const every = time.Second

// New makes the panel, which follows the simulator until ctx ends; win's size is
// taken as it is.
func New(ctx context.Context, a fyne.App, win fyne.Window, d Door) fyne.CanvasObject {
	return newPanel(ctx, a, win, d, fyne.Do)
}

// newPanel is New with a way of its own onto the UI goroutine.
func newPanel(ctx context.Context, a fyne.App, win fyne.Window, d Door, post func(func())) fyne.CanvasObject {
	const w, h = 460, 900
	p := &panel{look: theme.NewLook(theme.Day, theme.Standard, w, h, theme.Screen{}, nil), door: d, post: post, root: container.NewStack()}
	theme.Apply(a, p.look)
	win.SetPadded(false)
	p.do("cards", "")
	go p.follow(ctx)
	return p.root
}

// follow shows what changed at the simulator by itself.
func (p *panel) follow(ctx context.Context) {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			s, err := p.door.Do("state", "")
			p.post(func() {
				if (err == nil) != (p.err == nil) || err == nil && !reflect.DeepEqual(s, p.state) {
					p.take(s, err)
				}
			})
		}
	}
}

// take shows an answer of the simulator.
func (p *panel) take(s State, err error) {
	p.err = err
	if err == nil {
		if len(s.Cards) > 0 {
			p.cards = s.Cards
		}
		s.Cards = nil
		p.state = s
	}
	p.build()
}

// do asks off the UI goroutine and shows the answer.
func (p *panel) do(verb, arg string) {
	go func() {
		s, err := p.door.Do(verb, arg)
		p.post(func() { p.take(s, err) })
	}()
}

// people say who is at the PIN pad.
var people = map[string]string{"": "没有密码键盘", "ok": "密码键盘：人会输对", "wrong_pin": "密码键盘：人会输错原密码", "locked": "密码键盘：卡锁了",
	"mismatch": "密码键盘：两次输的不一样", "idle": "密码键盘：没人输"}

// lampWords names lamps, "" for none.
func lampWords(lamps string) string {
	names := map[string]string{"card": "社保卡口", "id": "身份证区", "scanner": "扫描仪", "printer": "出纸口"}
	var out []string
	for _, l := range strings.Split(lamps, ",") {
		if n := names[l]; n != "" {
			out = append(out, n)
		}
	}
	return strings.Join(out, "、")
}

// build draws the panel anew.
func (p *panel) build() {
	l := p.look
	button := func(name, label, verb, arg string) fyne.CanvasObject {
		return widget.NewButton(l, name, label, widget.Secondary, func() { p.do(verb, arg) }).Sized(l.Body()).Tall(l.MM(20))
	}
	toggle := func(name, what string, on bool, off, back, arg string) fyne.CanvasObject {
		if on {
			return button(name, "拔掉"+what, off, arg)
		}
		return button(name, "接上"+what, back, arg)
	}
	card := Card{Title: "没有卡"}
	if len(p.cards) > 0 {
		card = p.cards[p.pick%len(p.cards)]
	}
	small := func(s string) *widget.Text { return widget.NewText(l, s).Sized(l.Body() * 0.9) }
	in := "读卡器里没有卡"
	if p.state.Card != "" {
		in = "读卡器里：" + p.state.Card
	}
	on := "感应区没有身份证"
	if p.state.IDCard != "" {
		on = "感应区：" + p.state.IDCard
	}
	paper := map[string]string{"ready": "打印机有纸", "out": "打印机没纸", "jam": "打印机卡纸", "": "没有打印机"}[p.state.Paper]
	line := "线路断开"
	if p.state.Line {
		line = "线路接通"
	}
	lamps := "指示灯都灭着"
	if lit := lampWords(p.state.Lamps); lit != "" {
		lamps = "亮着的灯：" + lit
	}
	rows := []fyne.CanvasObject{
		widget.NewText(l, "模拟设备").Bold().Sized(l.Head()),
		small("选卡：" + card.Title),
		widget.NewButton(l, "pick", "换一张卡", widget.Plain, func() { p.pick++; p.build() }).Sized(l.Body()).Tall(l.MM(20)),
		small(in),
		widget.Even(2, l.MM(3), button("insert", "插入社保卡", "insert", card.Name), button("remove", "取出社保卡", "remove", "")),
		small(on),
		widget.Even(2, l.MM(3), button("id-put", "放上身份证", "id-put", card.Name), button("id-lift", "拿走身份证", "id-lift", "")),
		widget.Even(2, l.MM(3), toggle("reader", "读卡器", p.state.Reader, "reader-unplug", "reader-plug", "card"),
			toggle("id-reader", "身份证读卡器", p.state.IDReader, "reader-unplug", "reader-plug", "id")),
		small(paper),
		widget.Even(3, l.MM(3), button("paper-out", "没纸", "printer-paper-out", ""), button("jam", "卡纸", "printer-jam", ""), button("paper-in", "恢复", "printer-paper-in", "")),
		p.receipt(button),
		toggle("scanner", "扫描仪", p.state.Scanner, "scanner-unplug", "scanner-plug", ""),
		small(lamps),
		toggle("vendor", "灯板和密码键盘", p.state.Vendor, "vendor-unplug", "vendor-plug", ""),
		small(people[p.state.PINPerson]),
		widget.Even(3, l.MM(3), button("pin-ok", "会输对", "pin-person", "ok"), button("pin-wrong", "会输错", "pin-person", "wrong_pin"),
			button("pin-idle", "没人输", "pin-person", "idle")),
		small(line),
		widget.Even(2, l.MM(3), button("line-down", "断网", "line-down", ""), button("line-up", "联网", "line-up", "")),
	}
	rows = slices.DeleteFunc(rows, func(o fyne.CanvasObject) bool { return o == nil })
	if p.err != nil {
		rows = append(rows, widget.NewBanner(l, widget.Bad, "模拟器没有回应", nil))
	}
	body := widget.Pad(l.MM(8), l.MM(6), widget.Column(l.MM(3), rows...))
	p.root.Objects = []fyne.CanvasObject{container.NewVScroll(body)} // all parts are more than a small window holds
	p.root.Refresh()
}

// receiptWords are the receipt printer's conditions.
var receiptWords = map[string]string{"ready": "小票打印机正常", "low": "小票纸快用完", "out": "小票打印机没纸", "cover": "小票打印机开盖",
	"jam": "小票打印机切刀卡住", "offline": "小票打印机停机"}

// receipt is the part for the receipt printer, nil when there is none.
func (p *panel) receipt(button func(name, label, verb, arg string) fyne.CanvasObject) fyne.CanvasObject {
	if p.state.Receipt == "" {
		return nil
	}
	l := p.look
	set := func(label, to string) fyne.CanvasObject { return button("receipt-"+to, label, "receipt-set", to) }
	return widget.Column(l.MM(2), widget.NewText(l, receiptWords[p.state.Receipt]).Sized(l.Body()*0.9),
		widget.Even(3, l.MM(3), set("没纸", "out"), set("纸少", "low"), set("开盖", "cover")),
		widget.Even(3, l.MM(3), set("卡刀", "jam"), set("停机", "offline"), set("恢复", "ready")))
}
