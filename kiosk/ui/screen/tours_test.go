package screen

import (
	"strings"
	"time"

	"cunban/kiosk/cases"
	"cunban/kiosk/catalog"
	"cunban/kiosk/session"
	"cunban/kiosk/ui"
	ksync "cunban/sync"
	"cunban/sync/wire"
)

// tourProgress shows the cases of a person in every state.
func (st *stage) tourProgress() {
	st.insert()
	st.tap("progress")
	st.until("progress")
	st.shoot("progress-empty")
	st.tap("back")
	st.until("menu")
	st.quiet = true
	st.open("S05")
	st.fill()
	st.sign()
	st.quiet = false
	saved := st.b.Drafts[0]
	for i, s := range cases.States {
		id := saved.ID
		if s != cases.Returned {
			id = "case-" + string(s)
		}
		at := st.b.At.Add(-time.Duration(i) * 26 * time.Hour)
		c := cases.Case{ID: id, Revision: 1, Service: "S05", ServiceName: st.b.Cat.Service("S05").Name, State: s, SavedAt: at, UpdatedAt: at}
		if s != cases.Saved && s != cases.Attention {
			c.Acceptance, c.DueDate = "140830-20261120-00012"+string(rune('0'+i)), "2026-11-27"
		}
		switch s {
		case cases.Returned:
			f := st.firstField("S05")
			c.Mend = []cases.Mend{{Field: f.Name, Label: f.Label, Reason: "填的和户口簿上的不一样，请改成和户口簿一样"}}
		case cases.Refused:
			c.Note = "今年的缴费已经结束，请在明年 1 月以后再来办"
		case cases.Finished:
			c.Note = "已经改好，明年起按新的档次缴"
		case cases.Saved, cases.Accepted, cases.Processing, cases.Withdrawn, cases.Attention:
		}
		st.b.Cases[id] = c
		st.b.EventsV[id] = []cases.Event{{CaseID: id, At: at, State: cases.Saved, Text: "已保存，待上传"}}
		if s != cases.Saved {
			st.b.EventsV[id] = append(st.b.EventsV[id], cases.Event{CaseID: id, At: at.Add(time.Hour), State: cases.Accepted, Text: "县里给了受理编号"},
				cases.Event{CaseID: id, At: at.Add(5 * time.Hour), State: s, Text: c.Note})
		}
	}
	st.on(func() { st.s.Go(st.nav().Progress()) })
	st.until("progress")
	st.shoot("progress")
	if has(st.settled(), "cases.next") {
		st.tap("cases.next")
		st.shoot("progress-more")
	}
	for _, s := range cases.States {
		id := "case-" + string(s)
		if s == cases.Returned {
			id = saved.ID
		}
		st.on(func() { st.s.Go(st.nav().Progress()) })
		st.until("progress")
		for !has(st.settled(), "case."+id) {
			st.tap("cases.next")
		}
		st.tap("case." + id)
		st.until("case-" + string(s))
		st.shoot("case-" + string(s))
		if s == cases.Saved {
			st.tap("withdraw")
			st.until("ask")
			st.shoot("withdraw")
			st.tap("withdraw-no")
		}
	}
	st.on(func() { st.s.Go(st.nav().Progress()) })
	st.until("progress")
	for !has(st.settled(), "case."+saved.ID) {
		st.tap("cases.next")
	}
	st.tap("case." + saved.ID)
	st.until("case-returned")
	st.tap("next")
	st.settled()
	st.shoot("mend")
	st.fill()
	st.quiet = true
	st.sign()
	if d := st.b.Drafts[len(st.b.Drafts)-1]; d.ID != saved.ID || d.Revision != 2 {
		st.t.Errorf("the mended case is %s revision %d", d.ID, d.Revision)
	}
}

// firstField is a question of a service that a person answers.
func (st *stage) firstField(id string) *catalog.Field {
	list := st.b.Cat.Service(id).Fields
	for i := range list {
		if list[i].Type == catalog.Select {
			return &list[i]
		}
	}
	return &list[0]
}

// tourQuery shows records, their absence, and the public lists.
func (st *stage) tourQuery() {
	st.insert()
	st.b.RecordsV = wire.RecordsOut{Title: "城乡居民养老保险缴费记录", Columns: []string{"年度", "缴费档次", "政府补贴", "到账日期"},
		Summary: []wire.Pair{{Label: "累计缴费", Value: "12 年"}, {Label: "账户余额", Value: "8,436.20 元"}}, Note: "以县里的系统为准"}
	for y := 2025; y > 2011; y-- {
		st.b.RecordsV.Rows = append(st.b.RecordsV.Rows, []string{"2" + time.Date(y, 1, 1, 0, 0, 0, 0, time.UTC).Format("2006")[1:] + " 年", "500 元", "60 元", "12 月 20 日"})
	}
	st.open("S07")
	st.until("query")
	st.shoot("query")
	if has(st.settled(), "records.next") {
		st.tap("records.next")
		st.shoot("query-more")
	}
	st.b.RecordsV.Rows, st.b.RecordsV.Summary = nil, nil
	st.open("S09")
	st.until("query")
	st.shoot("query-nothing")
	st.b.RecordErr = &ui.Trouble{Code: "LN-01", Text: "现在连不上县里，查不了", Remedy: "过一会儿再查，或打 12333 问"}
	st.open("S07")
	st.until("query")
	st.shoot("query-offline")
	for _, id := range []string{"J02", "T01", "J07"} {
		st.open(id)
		s := st.settled()
		if !strings.HasPrefix(s.Page, "listing-") {
			st.t.Fatalf("%s shows %s", id, s.Page)
		}
		st.shoot(s.Page)
		st.tap(names(s, "item.")[0])
		st.until("item")
		st.shoot(s.Page + "-detail")
		st.tap("back")
		st.until(s.Page)
	}
}

// tourOverlays shows what can lie over a page.
func (st *stage) tourOverlays() {
	st.insert()
	n := st.settled().Session
	st.tap("help")
	st.until("help")
	st.shoot("help")
	st.tap("help-close")
	st.s.SessionEvent(session.Event{Kind: session.Asked, Session: n, Left: 30 * time.Second})
	st.until("idle")
	st.shoot("idle")
	st.s.SessionEvent(session.Event{Kind: session.Continued, Session: n})
	st.s.SessionEvent(session.Event{Kind: session.CoveredUp, Session: n, Left: 15 * time.Second})
	st.until("cover")
	st.shoot("cover")
	st.s.SessionEvent(session.Event{Kind: session.Uncovered, Session: n})
	st.until("menu")
	st.b.RoomErr = &ui.Trouble{Code: "ST-02", Text: "机器里放不下新的办件了", Remedy: "查询和打印还能用。要办事，请按“呼叫帮办”，用纸表办"}
	st.open("S05")
	st.until("trouble")
	st.shoot("trouble")
	st.tap("ok")
	st.b.RoomErr = nil
	gate := make(chan struct{})
	st.b.Gate = gate
	st.tap("next")
	st.until("busy")
	st.shootNow("busy")
	st.on(func() { st.b.At = st.b.At.Add(8 * time.Second) })
	st.untilTarget("busy-help")
	st.shootNow("busy-long")
	close(gate)
	st.settled()
	st.on(func() { st.b.EndSession(session.Done) })
	st.until("home")
	st.s.SessionEvent(session.Event{Kind: session.CardLeft, First: true})
	st.until("help")
	st.shoot("card-left")
	st.tap("card-left-ok")
	st.on(func() {
		st.b.PointV.Demo = true
		st.b.LineV = ksync.LineState{Kind: ksync.LineDown, Text: "没有网络"}
	})
	st.s.PointChanged()
	st.until("home")
	st.shoot("home-demo-offline")
	st.on(func() { st.b.PointV.Closed = "这台终端的登记被县里停用了" })
	st.s.PointChanged()
	st.until("closed")
	st.shoot("closed")
	st.on(func() { st.b.PointV.Closed, st.b.PointV.Enrolled = "", false })
	st.s.PointChanged()
	st.until("enrol")
	st.shoot("enrol")
	st.keys("abcdefghij234")
	st.shoot("enrol-typed")
}

// tourDesk shows the clerk's pages.
func (st *stage) tourDesk() {
	st.quiet = true
	st.insert()
	st.open("S05")
	st.fill()
	st.sign()
	st.tap("next")
	st.tap("next")
	st.card(func(v *ui.CardView) { v.Phase = ui.CardWaiting })
	st.tap("next")
	st.until("home")
	st.quiet = false

	st.tap("staff")
	st.until("staff-door")
	st.shoot("staff-door")
	st.signIn("door.staff", "desk-home")
	st.shoot("desk-home")
	for i, d := range []string{"2026-11-20", "2026-11-23", "2026-11-30"} {
		id := "case-" + d
		st.b.Cases[id] = cases.Case{ID: id, Service: "S01", ServiceName: st.b.Cat.Service("S01").Name, State: cases.Accepted, SavedAt: st.b.At,
			DueDate: d, Acceptance: "140830-20261120-00001" + string(rune('0'+i))}
	}
	st.tap("today")
	st.until("desk-cases")
	st.shoot("desk-cases")
	st.tap("back")
	st.b.ItemsV = []cases.Item{
		{CaseID: "a", State: cases.QueueWaiting, SavedAt: st.b.At, Case: cases.Case{ServiceName: st.b.Cat.Service("S01").Name}},
		{CaseID: "b", State: cases.QueueAttention, SavedAt: st.b.At, Attempts: 4, Reason: "县里说这个人今年已经办过", Case: cases.Case{ServiceName: st.b.Cat.Service("S16").Name}},
	}
	st.tap("queue")
	st.until("desk-queue")
	st.shoot("desk-queue")
	st.tap("back")
	st.tap("agent")
	st.until("desk-who")
	st.shoot("desk-who")
	st.tap("who.typed")
	st.until("desk-number")
	st.keys("14083019560312002")
	st.tap("next")
	st.shoot("desk-number-wrong")
	st.keys("4")
	st.tap("next")
	st.until("desk-name")
	st.tap("next")
	st.shoot("desk-name-empty")
	st.tap("mode.latin")
	st.keys("zhang")
	st.shoot("desk-name")
	st.tap("next")
	st.until("desk-confirm")
	st.shoot("desk-confirm")
	st.tap("next")
	st.until("menu")
	st.shoot("desk-menu")
	st.on(func() { st.s.Go(st.nav().Service(st.b.Cat.Service("S04"))) })
	st.until("notice")
	st.shoot("notice-no-agent")
	st.open("S10")
	st.fill()
	st.sign()
	st.tap("next")
	st.tap("next")
	st.until("leave")
	st.shoot("desk-leave")
	st.tap("next")
	st.until("desk-home")
	st.tap("sign-out")
	st.until("home")
}

// signIn signs somebody in through a door, after a wrong PIN.
func (st *stage) signIn(door, page string) {
	st.tap(door)
	st.until("sign-in-number")
	st.keys("3")
	st.tap("next")
	st.shoot("sign-in-short")
	st.keys("0830101")
	st.shoot("sign-in-number")
	st.tap("next")
	st.until("sign-in-pin")
	st.shoot("sign-in-pin")
	st.keys("111111")
	st.until("sign-in-number")
	st.shoot("sign-in-wrong")
	st.tap("next")
	st.until("sign-in-pin")
	st.keys("246810")
	st.until(page)
}

// tourTech shows the technician's pages.
func (st *stage) tourTech() {
	st.tap("staff")
	st.until("staff-door")
	st.signIn("door.tech", "tech-home")
	st.shoot("tech-home")
	for _, p := range []string{"devices", "network", "queue", "log", "vault", "version"} {
		st.tap(p)
		st.until("tech-" + p)
		st.shoot("tech-" + p)
		for _, more := range []string{"devices.next", p + ".next"} {
			for has(st.settled(), more) {
				st.tap(more)
				st.shoot("tech-" + p + "-more")
			}
		}
		if p == "log" {
			st.tap("verify")
			st.until("ask")
			st.shoot("tech-log-verified")
			st.tap("ok")
			st.settled()
		}
		st.tap("back")
		st.until("tech-home")
	}
	st.tap("enrol")
	st.until("enrol")
	st.shoot("tech-enrol")
	st.tap("back")
	st.tap("quit")
	st.until("ask")
	st.shoot("tech-quit")
}
