package screen

import (
	"strings"
	"testing"

	"cunban/kiosk/cases"
	"cunban/kiosk/catalog"
	"cunban/kiosk/staff"
	"cunban/kiosk/ui"
	"cunban/kiosk/ui/theme"
	"cunban/kiosk/ui/uitest"
	"cunban/sync"
	"cunban/sync/wire"
)

// TestAllServices takes every service of the catalogue through the real pages:
// notice, form, review, signature, saved; a query to its answer or to the words
// of why there is none. Once with everything there, once without line and
// scanner, and once by an agent: no service may end in a page without a way on.
func TestAllServices(t *testing.T) {
	for _, way := range []struct {
		name           string
		offline, agent bool
	}{{"everything", false, false}, {"no-line-no-scanner", true, false}, {"agent", false, true}} {
		t.Run(way.name, func(t *testing.T) {
			st := newStage(t, view{1280, 800, theme.Day, theme.Standard})
			st.quiet = true
			st.b.RecordsV = wire.RecordsOut{Title: "记录", Columns: []string{"年度", "金额"}, Rows: [][]string{{"2025", "500 元"}}}
			if way.offline {
				st.b.LineV = sync.LineState{Kind: sync.LineDown, Text: "没有网络"}
				st.b.SourcesV = nil
				st.b.RecordErr = &ui.Trouble{Code: "LN-01", Text: "现在连不上县里", Remedy: "过一会儿再查"}
				st.b.ListErr = sync.ErrOffline
				st.b.VerifyOut = wire.VerifyClaimOut{}
			}
			if n := len(st.b.Cat.Services); n != 40 {
				t.Fatalf("%d services", n)
			}
			for i := range st.b.Cat.Services {
				svc := &st.b.Cat.Services[i]
				t.Run(svc.ID, func(t *testing.T) {
					st := st.with(t)
					if !way.agent {
						st.take(svc, way.offline, "")
					} else if svc.Kind == catalog.Apply {
						st.take(svc, false, cases.ModeAgent)
					}
				})
			}
		})
	}
}

// with is the stage reporting to another test.
func (st *stage) with(t *testing.T) *stage {
	c := *st
	c.t = t
	return &c
}

// take does one service from the card to the end.
func (st *stage) take(svc *catalog.Service, offline bool, mode cases.Mode) {
	st.t.Helper()
	defer func() {
		st.on(func() { st.b.EndSession("done") })
		st.until("home")
	}()
	out := st.b.VerifyOut
	st.insert()
	st.b.VerifyOut = out
	if !svc.Self || mode == cases.ModeAgent {
		st.on(func() {
			if mode != "" {
				st.s.Visit().Mode = mode
			}
			st.s.Visit().Helper = &staff.Account{Number: "30830101", Name: "李秀英", Roles: []staff.Role{staff.Clerk}, Status: staff.Active}
		})
	}
	if mode == cases.ModeAgent && !svc.AgentOK {
		st.on(func() { st.s.Go(st.nav().Service(svc)) })
		if has(st.until("notice"), "next") {
			st.t.Error("the notice lets an agent begin what agents may not do")
		}
		return
	}
	before := len(st.b.Drafts)
	st.open(svc.ID)
	if svc.Kind == catalog.Ask {
		s := st.settled()
		switch {
		case s.Overlay != "" && !has(s, "ok"):
			st.t.Errorf("the query ends under %s without a way on", s.Overlay)
		case s.Overlay != "":
			st.tap("ok")
			fallthrough
		case s.Page == "query", strings.HasPrefix(s.Page, "listing-"):
			if offline && s.Page == "query" && !has(s, "again") {
				st.t.Errorf("offline the query shows %v", s.Texts)
			}
			if s = st.settled(); !has(s, "back") || !has(s, "home") {
				st.t.Errorf("no way on from %s", s.Page)
			}
		default:
			st.t.Errorf("the query shows %s", s.Page)
		}
		return
	}
	st.through(offline)
	if len(st.b.Drafts) != before+1 {
		st.t.Fatalf("%d cases were saved", len(st.b.Drafts)-before)
	}
	d := st.b.Drafts[len(st.b.Drafts)-1]
	if mode != "" && d.Mode != mode {
		st.t.Errorf("saved as %s", d.Mode)
	}
	if d.Service != svc.ID || !d.Confirmed || len(d.Answers) == 0 {
		st.t.Errorf("saved %s, confirmed %v, %d bytes", d.Service, d.Confirmed, len(d.Answers))
	}
	if offline && len(d.Scans) > 0 {
		st.t.Errorf("%d scans without a scanner", len(d.Scans))
	}
}

// through fills, reviews, signs and submits what was opened.
func (st *stage) through(offline bool) {
	st.t.Helper()
	taken := false
	for range 160 {
		s := st.settled()
		switch {
		case s.Overlay == "ask" && has(s, "yes"):
			st.tap("yes")
		case s.Overlay == "ask" && has(s, "ok") && s.Page == "review":
			st.t.Fatalf("the review cannot be left: %v", s.Texts)
		case s.Overlay != "":
			st.t.Fatalf("%s over %s: %v", s.Overlay, s.Page, s.Texts)
		case s.Page == "sign":
			st.signAndSubmit(s)
			return
		case s.Page == "review":
			st.tap("next")
		case strings.HasPrefix(s.Page, "step-"):
			if has(s, "take.scanner") && !taken {
				taken = true
				st.tap("take.scanner")
				st.settled()
			}
			if offline && has(s, "defer") {
				st.tap("defer")
				continue
			}
			st.sample()
			if !has(s, "next") {
				st.t.Fatalf("no way on from %s: %v", s.Page, s.Texts)
			}
			st.tap("next")
		default:
			st.t.Fatalf("the form came to %s", s.Page)
		}
	}
	st.t.Fatalf("the form has no end: %s", st.settled().Page)
}

func (st *stage) signAndSubmit(s ui.ScreenState) {
	st.t.Helper()
	for _, n := range names(s, "consent.") {
		agreed := false
		st.on(func() { agreed = st.s.Visit().Draft.Form.Get(strings.TrimPrefix(n, "consent.")).Text == "1" })
		if !agreed {
			st.tap(n)
			st.settled()
		}
	}
	st.on(func() { uitest.Sign(st.s.Root()) })
	st.tap("next")
	st.until("done-saved")
	if s := st.settled(); !has(s, "next") || !has(s, "print") || !has(s, "again") {
		st.t.Errorf("no way on from %s", s.Page)
	}
}

// TestSignatureOutlivesTheConsent: a person who signs first and agrees
// afterwards does not sign twice.
func TestSignatureOutlivesTheConsent(t *testing.T) {
	st := newStage(t, landStd)
	st.quiet = true
	st.insert()
	st.open("S05")
	st.fill()
	s := st.until("sign")
	st.on(func() { uitest.Sign(st.s.Root()) })
	list := names(s, "consent.")
	if len(list) == 0 {
		t.Fatal("nothing to agree to")
	}
	for range 2 { // off and on again, or on and off
		st.tap(list[0])
		st.settled()
	}
	for _, n := range list {
		agreed := false
		st.on(func() { agreed = st.s.Visit().Draft.Form.Get(strings.TrimPrefix(n, "consent.")).Text == "1" })
		if !agreed {
			st.tap(n)
		}
	}
	st.tap("next")
	st.until("done-saved")
	if d := st.b.Drafts[0]; !strings.HasPrefix(string(d.Signature), "\x89PNG") {
		t.Error("saved without a signature")
	}
}
