package app

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"cunban/assets"
	"cunban/device"
	"cunban/kiosk/cases"
	"cunban/kiosk/catalog"
	"cunban/kiosk/form"
	"cunban/sync"
	"cunban/sync/upstream"
	"cunban/sync/wire"
)

// TestEveryServiceReachesTheCounty fills the form of each service that takes a
// case, with a page from the clerk's folder, and waits for the county's number.
func TestEveryServiceReachesTheCounty(t *testing.T) {
	h := newHouse(t)
	// A page comes the way it comes in a village: somebody puts a picture into
	// the folder.
	if err := os.WriteFile(filepath.Join(h.cfg.Devices.PageFolder, "a.jpg"), picture(t), 0o600); err != nil {
		t.Fatal(err)
	}
	var page []byte
	h.await("the page", func() bool {
		s, err := h.Take(t.Context(), device.KindPageFolder)
		if err == nil {
			page = s.JPEG
			if s.Blank || s.Preview == nil {
				t.Errorf("page %+v", s.Words)
			}
		}
		return err == nil
	})
	sent := map[string]string{} // case → service
	for i := range h.Catalogue().Services {
		svc := &h.Catalogue().Services[i]
		if svc.Kind == catalog.Ask {
			continue
		}
		f := h.formOf(svc.ID)
		if err := form.FillSample(f); err != nil {
			t.Errorf("%s: %v", svc.ID, err)
			continue
		}
		var pages [][]byte
		for _, fd := range svc.Fields {
			if v := f.Get(fd.Name); f.Visible(&fd) && v.Pages > 0 && !v.Deferred {
				pages = append(pages, page)
			}
		}
		c := h.submit(h.draftOf(f, pages...))
		sent[c.ID] = svc.ID
	}
	if len(sent) != 31 {
		t.Errorf("%d services take a case, the plan has 31", len(sent))
	}
	numbers := map[string]bool{}
	for id, svc := range sent {
		h.await(svc+" to be accepted", func() bool { return h.state(id) == cases.Accepted })
		c, err := h.Case(t.Context(), id)
		if err != nil || c.Acceptance == "" || numbers[c.Acceptance] {
			t.Errorf("%s: number %q, %v", svc, c.Acceptance, err)
		}
		numbers[c.Acceptance] = true
		// The page is told after the vault knows.
		h.await(svc+" on the page", func() bool { return h.eyes.saw(id, cases.Accepted) })
		d, err := h.county.OpenDossier(t.Context(), id, "test")
		if err != nil {
			t.Errorf("%s: the county cannot open it: %v", svc, err)
			continue
		}
		if r := h.county.Record(d, false); r.Applicant.Number != zhangNumber || r.Applicant.Name != zhangName || r.Service != svc || len(r.Answers) == 0 {
			t.Errorf("%s: the county reads %+v", svc, r)
		}
	}
	if n := h.atCounty(); n != len(sent) {
		t.Errorf("the county has %d cases of %d", n, len(sent))
	}
	list, err := h.MyCases(t.Context(), zhang(t))
	if err != nil || len(list) != len(sent) {
		t.Errorf("her own list has %d cases: %v", len(list), err)
	}
	check, err := h.VerifyLog(t.Context(), nil)
	if err != nil || !check.OK {
		t.Errorf("log: %+v %v", check, err)
	}
}

// TestEveryQueryIsAnswered asks what each of the nine services that only ask
// would ask: a table of records, or a list.
func TestEveryQueryIsAnswered(t *testing.T) {
	h := newHouse(t)
	samples, err := h.county.LoadSamples(t.Context(), assets.Samples())
	if err != nil || len(samples) == 0 {
		t.Fatalf("%v %v", samples, err)
	}
	n := 0
	for i := range h.Catalogue().Services {
		svc := &h.Catalogue().Services[i]
		if svc.Kind != catalog.Ask {
			continue
		}
		n++
		r, asOf, err := h.Records(t.Context(), svc.ID, zhang(t), 2026)
		switch {
		case err == nil:
			if len(r.Rows)+len(r.Summary) == 0 && r.Note == "" || asOf.IsZero() {
				t.Errorf("%s: an empty answer: %+v", svc.ID, r)
			}
		default: // lists are asked for by kind
			words(t, err, "LN-02", "")
		}
	}
	if n != 9 {
		t.Errorf("%d services ask, the plan has 9", n)
	}
	for _, k := range []wire.Kind{wire.KindJob, wire.KindCourse, wire.KindEvent, wire.KindPost} {
		items, asOf, live, err := h.Listing(t.Context(), k)
		if err != nil || !live || len(items) == 0 || asOf.IsZero() {
			t.Errorf("%s: %d items as of %s, live %v, %v", k, len(items), asOf, live, err)
		}
	}
	// Without a line the dated copy is shown.
	h.await("the copy", func() bool { list, _, _ := sync.List(t.Context(), h.vault, wire.KindJob); return len(list) > 0 })
	h.cable.cut()
	h.await("the line to be seen down", func() bool { return !h.Line().Kind.Online() })
	items, asOf, live, err := h.Listing(t.Context(), wire.KindJob)
	if err != nil || live || len(items) == 0 || asOf.IsZero() {
		t.Errorf("offline: %d items as of %s, live %v, %v", len(items), asOf, live, err)
	}
	words(t, func() error { _, _, err := h.Records(t.Context(), "S07", zhang(t), 2026); return err }(), "LN-01", "连不上县里")
}

// TestReturnedCaseIsMended has the county return a case, and the person mend
// it: revision 2, the same number.
func TestReturnedCaseIsMended(t *testing.T) {
	h := newHouse(t)
	first := h.submit(h.filled("S01"))
	h.await("the number", func() bool { return h.state(first.ID) == cases.Accepted })
	number := func() string { c, _ := h.Case(t.Context(), first.ID); return c.Acceptance }
	had := number()
	if _, err := h.county.Decide(t.Context(), first.ID, upstream.Decision{State: upstream.StateReturned, By: "2001", Note: "请改一下",
		Mend: []wire.Mend{{Field: "pay_grade", Label: "缴费档次", Reason: "请重选"}}}); err != nil {
		t.Fatal(err)
	}
	h.await("the return on the page", func() bool { return h.eyes.saw(first.ID, cases.Returned) })
	got, err := h.Answers(t.Context(), first.ID, zhang(t))
	if err != nil || len(got.Mend) != 1 || got.Mend[0].Field != "pay_grade" {
		t.Fatalf("answers %+v, %v", got, err)
	}
	svc := h.Catalogue().Service("S01")
	f, err := form.Load(svc, h.Catalogue(), h.formContext(svc), got.Answers, []string{"pay_grade"})
	if err != nil {
		t.Fatal(err)
	}
	if err := form.FillSample(f); err != nil { // the signature is given anew
		t.Fatal(err)
	}
	d := h.draftOf(f)
	d.ID, d.Revision = first.ID, 2
	if c := h.submit(d); c.Revision != 2 {
		t.Fatalf("%+v", c)
	}
	h.await("the mended case's number", func() bool {
		c, err := h.Case(t.Context(), first.ID)
		return err == nil && c.State == cases.Accepted && c.Revision == 2
	})
	if n := number(); n != had || h.atCounty() != 1 {
		t.Errorf("number %s, had %s, %d cases", n, had, h.atCounty())
	}
	events, err := h.Timeline(t.Context(), first.ID)
	if err != nil || len(events) < 5 {
		t.Errorf("timeline %+v %v", events, err)
	}
	// The third time nobody asked for it.
	d.Revision = 3
	words(t, func() error { _, err := h.Submit(t.Context(), d); return err }(), "ST-08", "现在不能这样办")
}

// promise is how soon a case is sent when the line comes back.
const promise = 5 * time.Second

// TestLineDownAndUp: saved without a line, accepted within 5 s of its return,
// once.
func TestLineDownAndUp(t *testing.T) {
	h := newHouse(t)
	h.cable.cut()
	h.await("the line to be seen down", func() bool { return h.Line().Kind == sync.LineDown })
	if l := h.Line(); l.Text == "" {
		t.Errorf("%+v", l)
	}
	c := h.submit(h.filled("J01", picture(t)))
	if n := h.atCounty(); n != 0 {
		t.Fatalf("%d cases came through a cut line", n)
	}
	items, counts, err := h.Queue(t.Context())
	if err != nil || len(items) != 1 || counts.Waiting != 1 || items[0].CaseID != c.ID {
		t.Errorf("queue %+v %+v %v", items, counts, err)
	}
	// What needs the county says so and what to do instead.
	_, _, err = h.Records(t.Context(), "S07", zhang(t), 0)
	words(t, err, "LN-01", "现在连不上县里")
	_, err = h.Answers(t.Context(), c.ID, zhang(t))
	words(t, err, "LN-01", "现在连不上县里")
	if v, out, err := h.Verify(t.Context(), zhang(t)); err != nil || out.Result != "" || v.Verification == "" {
		t.Errorf("offline: %+v %+v %v", v, out, err)
	}
	back := time.Now()
	h.cable.plug(h.county.addr)
	h.await("the number", func() bool { return h.eyes.saw(c.ID, cases.Accepted) })
	if took := time.Since(back); took > promise {
		t.Errorf("accepted %s after the line came back", took)
	}
	if n := h.atCounty(); n != 1 {
		t.Errorf("the county has %d cases", n)
	}
}

// TestTheLineBreaksWhileScansGo cuts the line again and again while pages are
// uploaded: one case, every byte right, and no number before the last byte.
func TestTheLineBreaksWhileScansGo(t *testing.T) {
	h := newHouse(t, func(o *Options) { o.Config.UploadRateKB = 1000 })
	page := bytes.Repeat(picture(t), 30)
	if len(page) < 1<<20 {
		t.Fatalf("a page of %d bytes is gone before it can be cut", len(page))
	}
	d := h.filled("S01", page, page)
	d.Scans[1].Material, d.Scans[1].Page = "户口簿首页", 1 // two papers: two files
	c := h.submit(d)
	h.await("the body to be there", func() bool {
		items, _, err := h.Queue(t.Context())
		return err == nil && len(items) == 1 && items[0].State == cases.QueueSent
	})
	cuts := 0
	for cuts < 3 && h.state(c.ID) != cases.Accepted {
		cuts++
		h.cable.plug(h.county.addr) // cuts what is there
		h.await("the line again", func() bool { return h.Line().Kind == sync.LineUp })
	}
	if cuts < 3 {
		t.Fatalf("accepted after %d cuts: nothing was under way", cuts)
	}
	h.await("the number", func() bool { return h.state(c.ID) == cases.Accepted })
	if n := h.atCounty(); n != 1 {
		t.Errorf("the county has %d cases", n)
	}
	for i := range 2 {
		_, plain, err := h.county.OpenFile(t.Context(), c.ID, 1, fmt.Sprintf("1-%02d.sealed", i+1), "test")
		if err != nil || !bytes.Equal(plain, page) {
			t.Errorf("page %d: %d bytes of %d, %v", i+1, len(plain), len(page), err)
		}
	}
}
