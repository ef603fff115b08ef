package app

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"cunban/assets"
	"cunban/device"
	"cunban/kiosk/cases"
	"cunban/kiosk/oplog"
	"cunban/kiosk/session"
	"cunban/kiosk/ui"
	"cunban/kiosk/vault"
	"cunban/sync/upstream"
	"cunban/sync/wire"
)

// TestSimulatedHardwareClosesARealTerminal: what simulated cards say must never
// become a real case.
func TestSimulatedHardwareClosesARealTerminal(t *testing.T) {
	c := startCounty(t)
	o := options(t, t.TempDir(), "https://"+c.addr)
	a, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	r := newReader(device.KindCardReader)
	a.devices = append(a.devices, r)
	x := &terminal{App: a, t: t, eyes: &eyes{news: make(chan struct{}, 1)}, o: o}
	a.shows(x.eyes)
	a.start()
	t.Cleanup(x.halt)
	x.enrol(c, false)
	if p := x.Point(); p.Closed != "" || p.Demo {
		t.Fatalf("closed without a reason: %+v", p)
	}
	d := x.filled("S01")
	told := x.eyes.point
	r.mu.Lock()
	r.health.Demo = true
	r.mu.Unlock()
	r.turn(device.StateReady)
	x.await("the terminal to close", func() bool { return x.Point().Closed != "" })
	if p := x.Point(); !strings.Contains(p.Closed, "模拟设备") || !p.Demo {
		t.Errorf("%+v", p)
	}
	x.await("pages to be told", func() bool { x.eyes.mu.Lock(); defer x.eyes.mu.Unlock(); return x.eyes.point > told })
	_, err = x.Submit(t.Context(), d)
	words(t, err, "TM-01", "模拟设备")
	r.mu.Lock()
	r.health.Demo = false
	r.mu.Unlock()
	r.turn(device.StateReady)
	x.await("the terminal to open", func() bool { return x.Point().Closed == "" })
	x.submit(d)
}

// catalogueOf is the program's own catalogue under another version.
func catalogueOf(t *testing.T, version string) (services, codes json.RawMessage) {
	t.Helper()
	s, c := assets.Catalogue()
	old := mustCatalogueVersion(t, s)
	out := bytes.ReplaceAll(s, []byte(`"`+old+`"`), []byte(`"`+version+`"`))
	return out, bytes.ReplaceAll(c, []byte(`"`+old+`"`), []byte(`"`+version+`"`))
}

func mustCatalogueVersion(t *testing.T, services []byte) string {
	t.Helper()
	var v struct {
		Version string `json:"version"`
	}
	if err := json.Unmarshal(services, &v); err != nil || v.Version == "" {
		t.Fatalf("version %q: %v", v.Version, err)
	}
	return v.Version
}

// TestCatalogueOfTheCounty: a newer sound one is taken at once, a broken one is
// refused and the present one kept, over a start too, and an older one ignored.
func TestCatalogueOfTheCounty(t *testing.T) {
	h := newHouse(t)
	own := h.Catalogue().Version
	publish := func(services, codes json.RawMessage) {
		t.Helper()
		for id, v := range map[string]json.RawMessage{objServices: services, objCodes: codes} {
			if _, err := h.county.Publish(t.Context(), wire.KindCatalogue, id, "", v); err != nil {
				t.Fatal(err)
			}
		}
	}
	records := func(o oplog.Outcome) int {
		t.Helper()
		list, err := h.vault.LogQuery(t.Context(), vault.LogFilter{Event: oplog.CatalogueChange, Outcome: o})
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	f := h.formOf("S01") // a form that is open keeps the catalogue it began with
	publish(catalogueOf(t, "2099.1.1"))
	h.await("the newer one", func() bool { return h.Catalogue().Version == "2099.1.1" })
	h.await("the record", func() bool { return records(oplog.OK) == 1 })
	if f.Service() == h.Catalogue().Service("S01") {
		t.Error("the open form moved to the new catalogue")
	}
	// Broken: a service without fields, and a newer version.
	s, c := catalogueOf(t, "2099.1.2")
	s = bytes.Replace(s, []byte(`"S01"`), []byte(`"S0?"`), 1)
	refused := records(oplog.Refused)
	publish(s, c)
	h.await("the refusal", func() bool { return records(oplog.Refused) > refused })
	if v := h.Catalogue().Version; v != "2099.1.1" {
		t.Errorf("in use is %s", v)
	}
	h.terminal = h.again()
	if v := h.Catalogue().Version; v != "2099.1.1" {
		t.Errorf("after a start in use is %s, the program's own is %s", v, own)
	}
	// Older: no error, not taken.
	publish(catalogueOf(t, "2098.1.1"))
	marker := func() bool { _, ok, _ := h.vault.Get(t.Context(), "downlink/notice/m"); return ok }
	if _, err := h.county.Publish(t.Context(), wire.KindNotice, "m", "", upstream.Notice{ID: "m", Title: "停电通知", Text: "明天上午停电", Date: "2026-11-20"}); err != nil {
		t.Fatal(err)
	}
	h.await("what came after it", marker)
	if v := h.Catalogue().Version; v != "2099.1.1" {
		t.Errorf("an older one is in use: %s", v)
	}
	// And newer again.
	publish(catalogueOf(t, "2099.2.1"))
	h.await("the next one", func() bool { return h.Catalogue().Version == "2099.2.1" })
	c2 := h.submit(h.filled("S01"))
	h.await("the number", func() bool { return h.state(c2.ID) == cases.Accepted })
}

func TestNoticeOfTheCountyRunsOnTheHomePage(t *testing.T) {
	h := newHouse(t)
	if _, err := h.county.Publish(t.Context(), wire.KindNotice, "n1", "", upstream.Notice{ID: "n1", Title: "养老金认证开始了", Text: "本月底前", Date: "2026-11-20"}); err != nil {
		t.Fatal(err)
	}
	h.await("the line of news", func() bool { return h.Point().Ticker == "养老金认证开始了" })
}

// TestSessionNumbersNeverRepeat over stops and starts, clean ones and others.
func TestSessionNumbersNeverRepeat(t *testing.T) {
	o := options(t, t.TempDir(), "")
	x := boot(t, o)
	seen := map[uint64]bool{}
	begin := func() uint64 {
		t.Helper()
		n := x.Browse()
		x.EndSession(session.Done)
		if seen[n] || n == 0 {
			t.Fatalf("session %d again", n)
		}
		seen[n] = true
		return n
	}
	for range sessionBlock + 10 { // beyond one block
		begin()
	}
	last := begin()
	x = x.again()
	if n := begin(); n != last+1 {
		t.Errorf("after a clean stop %d follows %d", n, last)
	}
	// Not a clean stop: what the vault has is all there is.
	used := begin()
	x.sess.Stop()
	x.stop()
	x.wg.Wait()
	if err := x.entries.close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := x.vault.Close(t.Context()); err != nil { // and nothing was given back
		t.Fatal(err)
	}
	x.App = nil
	x = boot(t, o)
	if n := begin(); n <= used {
		t.Errorf("%d follows %d", n, used)
	}
}

// TestStopKeepsWhatLatePartsTell: records made while everything ends are
// written, and the log verifies at the next start.
func TestStopKeepsWhatLatePartsTell(t *testing.T) {
	o := options(t, t.TempDir(), "")
	x := boot(t, o)
	x.Browse()
	for range 200 {
		x.Note(t.Context(), oplog.QueryMade, oplog.OK, "", map[string]string{"kind": "progress"})
	}
	x = x.again()
	list, err := x.vault.LogQuery(t.Context(), vault.LogFilter{})
	if err != nil {
		t.Fatal(err)
	}
	count := map[oplog.Event]int{}
	for _, r := range list {
		count[r.Event]++
	}
	if count[oplog.QueryMade] != 200 || count[oplog.SessionBegin] != 1 || count[oplog.SessionEnd] != 1 || count[oplog.TerminalStop] != 1 {
		t.Errorf("%v", count)
	}
	if k, err := x.VerifyLog(t.Context(), nil); err != nil || !k.OK {
		t.Errorf("%+v %v", k, err)
	}
	if !x.vault.Clean() {
		t.Error("the stop was not clean")
	}
}

func TestStopWithoutStart(t *testing.T) {
	a, err := New(t.Context(), options(t, t.TempDir(), ""))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestScreenThatIsNotThere: everything may happen before the window is there
// and after it is gone.
func TestScreenThatIsNotThere(t *testing.T) {
	o := options(t, t.TempDir(), "")
	a, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	r := newReader(device.KindCardReader)
	a.devices = append(a.devices, r)
	a.start()
	r.turn(device.StateFault)
	a.Browse()
	a.cardChanged(ui.CardView{Phase: ui.CardWaiting})
	a.EndSession(session.Done)
	if err := a.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}
