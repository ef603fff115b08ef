package front

import (
	"cunban/device"
	"cunban/kiosk/resident"
	"cunban/kiosk/ui"
	"cunban/kiosk/ui/theme"
	"cunban/kiosk/ui/widget"
	"cunban/sync/wire"

	"context"

	"fyne.io/fyne/v2"
)

// Card asks for a card, says what is wrong with the one that is there, and
// goes on with the person it belongs to.
func Card(why string, then func(c *ui.Ctx)) ui.Page { return &card{why: why, then: then} }

type card struct {
	why   string
	then  func(c *ui.Ctx)
	again bool // a card that was in already was read anew
}

// words of one phase of the card.
type cardWords struct {
	tone        widget.Tone
	drawing     string
	title, text string
	todo        []string
	again       bool // 再读一次 makes sense
}

func wordsOf(v ui.CardView) cardWords {
	switch v.Phase {
	case ui.CardWaiting:
		title := "请插入社保卡，或放上身份证"
		if !v.IDReader {
			title = "请插入社保卡"
		} else if !v.SocialReader {
			title = "请放上身份证"
		}
		return cardWords{drawing: "insert-card", title: title, text: "社保卡：芯片朝前、朝上，插到底。身份证：平放在感应区，不要动。"}
	case ui.CardReading, ui.CardRead:
		return cardWords{drawing: "card-reading", title: "正在读卡", text: "请不要动卡，一会儿就好。"}
	case ui.CardWrongWay:
		return cardWords{drawing: "card-wrong-way", tone: widget.Warn, title: "卡插反了，或没有插到底", text: "机器没有读到芯片。",
			todo: []string{"把卡取出来。", "让金色芯片朝上、朝前。", "再插一次，插到底。"}}
	case ui.CardForeign:
		return cardWords{drawing: "card-foreign", tone: widget.Warn, title: "这不是社保卡", text: "银行卡、公交卡和别的卡在这里不能用。",
			todo: []string{"取出这张卡，换社保卡插入。", "没带社保卡，可以放上身份证。", "都没带，请按“呼叫帮办”。"}}
	case ui.CardBlank:
		return cardWords{drawing: "card-blank", tone: widget.Warn, title: "此卡尚未制卡完成", text: "卡里还没有写入姓名和号码，不能办事。",
			todo: []string{"请取出这张卡。", "可以放上身份证接着办。", "卡的事请问发卡的银行或县社保卡窗口。"}}
	case ui.CardDamaged:
		return cardWords{drawing: "card-error", tone: widget.Warn, title: "卡里的内容读不出来", text: "卡可能脏了或坏了。", again: true,
			todo: []string{"用软布擦一擦芯片，再插一次。", "还不行，可以放上身份证。", "或者按“呼叫帮办”。"}}
	case ui.CardTorn:
		return cardWords{drawing: "card-torn", tone: widget.Warn, title: "卡取得太早了", text: "还没有读完。请再放一次，等屏幕上出现您的名字。"}
	case ui.CardHeld:
		return cardWords{tone: widget.Warn, title: "读卡器正被别的程序占用", text: "您的卡没有问题。", again: true,
			todo: []string{"等一会儿，再点“再读一次”。", "还不行，请按“呼叫帮办”。"}}
	case ui.CardNoReader:
		return cardWords{drawing: "reader-missing", tone: widget.Bad, title: "读卡器没有接好", text: "现在不能读卡。查岗位、看培训、看办事指南还能用。",
			todo: []string{"请按“呼叫帮办”，帮办员可以帮您办。", "工作人员：检查读卡器的线有没有插好。"}}
	case ui.CardLiftIDCard:
		return cardWords{drawing: "put-idcard", tone: widget.Info, title: "请把身份证拿起来，再放一次", text: "拿开以后，机器才能重新读。"}
	}
	return cardWords{tone: widget.Warn, title: "请按“呼叫帮办”", text: "这张卡的情况不明。"}
}

// View implements ui.Page.
func (p *card) View(c *ui.Ctx) ui.View {
	l, v := c.Look, c.B.CardView()
	if v.Phase == ui.CardRead {
		// Built after the card was read: straight on, outside this call.
		c.Post(func() { c.Go(&identity{claim: v.Claim, then: p.then}) })
	}
	if v.Phase == ui.CardWaiting && c.B.CardIn() && !p.again {
		// The card of the session before is still in: it is read anew.
		p.again = true
		c.B.Reread()
	}
	w := wordsOf(v)
	s := widget.State{Tone: w.tone, Drawing: w.drawing, Title: w.title, Text: w.text, Todo: w.todo}
	if p.why != "" && v.Phase == ui.CardWaiting {
		s.Text = p.why + s.Text
	}
	if w.again {
		s.Buttons = []fyne.CanvasObject{widget.NewButton(l, "reread", "再读一次", widget.Secondary, c.B.Reread).WithIcon("refresh").Big()}
	}
	say := w.title + "。" + w.text
	if len(w.todo) > 0 {
		say += w.todo[0]
	}
	return ui.View{
		ID: "card-" + string(v.Phase), Title: c.B.Point().Name, Say: say,
		Body: widget.StateCard(l, s), Back: c.Home, Asks: slots(v),
		OnCard: func(v ui.CardView) {
			switch v.Phase {
			case ui.CardRead:
				c.Go(&identity{claim: v.Claim, then: p.then})
			case ui.CardWaiting, ui.CardReading, ui.CardWrongWay, ui.CardForeign, ui.CardBlank, ui.CardDamaged,
				ui.CardTorn, ui.CardHeld, ui.CardNoReader, ui.CardLiftIDCard:
				c.Redraw()
				c.Say(wordsOf(v).title)
			}
		},
	}
}

// slots are the places where a card is to be put or taken away now.
func slots(v ui.CardView) []device.Lamp {
	switch v.Phase {
	case ui.CardWaiting, ui.CardTorn, ui.CardForeign, ui.CardBlank, ui.CardDamaged:
		var out []device.Lamp
		if v.SocialReader {
			out = append(out, device.LampCard)
		}
		if v.IDReader {
			out = append(out, device.LampID)
		}
		return out
	case ui.CardWrongWay:
		return []device.Lamp{device.LampCard}
	case ui.CardLiftIDCard:
		return []device.Lamp{device.LampID}
	case ui.CardReading, ui.CardRead, ui.CardHeld, ui.CardNoReader:
	}
	return nil
}

// identity asks whether the card is the person's own. Name and number stay
// masked: others may look over her shoulder.
type identity struct {
	claim resident.Claim
	then  func(c *ui.Ctx)
	asked *ui.Ctx // where the register was asked: a page left meanwhile asks again
	done  bool    // it answered, or could not
	said  wire.VerifyClaimOut
}

// View implements ui.Page.
func (p *identity) View(c *ui.Ctx) ui.View {
	l := c.Look
	if !p.done && p.asked != c {
		p.asked = c
		if !c.Visit.Known() || !c.Visit.Claim.SamePerson(p.claim) {
			c.Begin(p.claim)
		}
		ui.Do(c, "正在核对", func(ctx context.Context) (checked, error) {
			claim, out, err := c.B.Verify(ctx, p.claim)
			return checked{claim, out}, err
		}, func(v checked) {
			p.claim, p.said, p.done = v.claim, v.out, true
			c.Begin(p.claim)
			c.Visit.Checked = v.out.Result
			c.Redraw()
		}, func(error) bool { p.done = true; return true }) // not verified is no fault: the case says so
	}
	source := "社保卡"
	if p.claim.Source == resident.FromIDCard {
		source = "身份证"
	}
	check, checkTone := "还没有和县里核对，联网后县里会再核对", widget.Neutral
	if p.claim.Verification == resident.VerifiedOnline {
		check, checkTone = "已和县里登记的信息核对一致", widget.Good
	}
	title, say := "是您本人吗？", "是您本人吗？请看一看名字和号码。是的话，请点“是我本人”"
	next := &ui.Action{Name: "next", Label: "是我本人", Do: func() { p.then(c) }}
	trouble := ""
	switch p.said.Result {
	case wire.VerifyMismatch, wire.VerifyUnknown, wire.VerifyCardLost, wire.VerifyCardVoid:
		text := p.said.Text
		if text == "" {
			text = "县里登记的信息和卡对不上，请按“呼叫帮办”"
		}
		trouble = text
		if p.said.Result == wire.VerifyCardLost || p.said.Result == wire.VerifyCardVoid {
			next.Disabled = "请叫帮办员"
			say = text
		}
	case wire.VerifyMatch, "":
	}
	who := []fyne.CanvasObject{
		widget.NewText(l, p.claim.Name.String()).Sized(l.Huge()).Bold().Centred(),
		widget.NewText(l, p.claim.Number.String()).Sized(l.Title()).Bold().Centred(),
		widget.Middle(widget.Tag(l, widget.Info, "来自"+source)),
		mark(l, check, checkTone),
	}
	if !p.claim.NameExact {
		who = append(who, mark(l, "名字里有的字读不出来，请叫帮办员来看一下", widget.Warn))
	}
	head := widget.NewHeading(l, title, "只显示一部分，别人看不全。", func() { c.Say(say) }).Warn(trouble)
	parts := []fyne.CanvasObject{head, widget.Fill(widget.Hero(l, widget.Middle(widget.Wide(l, widget.Column(l.Gap()*1.2, who...)))))}
	return ui.View{
		ID: "identity", Title: c.B.Point().Name, Say: say, Body: widget.Column(l.Gap(), parts...),
		Back: func() { c.End() }, Next: next,
		Extra: []ui.Action{{Name: "not-me", Label: "不是我", Do: func() {
			c.Tell("请取出这张卡", "这里只能办本人的事。替家里人办，请按“呼叫帮办”，帮办员给您办代办。")
		}}},
		OnCard: func(v ui.CardView) {
			if v.Phase == ui.CardNoReader && p.claim.Source == resident.FromSocialCard {
				c.Redraw()
			}
		},
		OnDevice: func(device.Health) {},
	}
}

// mark is a line in the middle with the icon of its tone.
func mark(l *theme.Look, text string, tone widget.Tone) fyne.CanvasObject {
	c := l.C()
	icon, ink := "info", c.Soft
	switch tone {
	case widget.Good:
		icon, ink = "ok", c.Good
	case widget.Warn, widget.Bad:
		icon, ink = "warn", c.Warn
	case widget.Neutral, widget.Info:
	}
	return widget.Middle(widget.MiddleRow(l.MM(3), widget.Icon(l, icon, ink, l.Body()*1.2), widget.NewText(l, text).Coloured(ink)))
}

type checked struct {
	claim resident.Claim
	out   wire.VerifyClaimOut
}
