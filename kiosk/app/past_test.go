package app

import (
	"strings"
	"testing"
	"time"

	"cunban/device"
	"cunban/sync/wire"
)

// TestTroublesAreCountedOnce: a trouble counts when it begins, not each time it
// is told, and not for what lies between two conditions.
func TestTroublesAreCountedOnce(t *testing.T) {
	p, err := newPast(nil)
	if err != nil {
		t.Fatal(err)
	}
	say := func(s device.State, code string) {
		p.see(device.Health{Kind: device.KindPagePrinter, State: s, Code: code})
	}
	say(device.StateReady, "")
	say(device.StateFault, "PR-03")
	say(device.StateBusy, "PR-00")
	say(device.StateFault, "PR-03") // still the same jam
	say(device.StateReady, "")
	say(device.StateFault, "PR-03")
	say(device.StateFault, "PR-02")
	say(device.StateAbsent, "PR-08")
	got := p.whole(device.Health{Kind: device.KindPagePrinter, Counters: map[string]int64{"jobs_done": 4}}).Counters
	for what, want := range map[string]int64{countJams: 2, countPaper: 1, countFaults: 3, countGone: 1, "jobs_done": 4} {
		if got[what] != want {
			t.Errorf("%s: %d, want %d", what, got[what], want)
		}
	}
	if w := wire.CounterWords(got); w != "打好 4 次，卡纸 2 次，缺纸 1 次，故障 3 次，断开 1 次" {
		t.Errorf("words: %s", w)
	}
}

// TestPastUnreadable begins anew and says so.
func TestPastUnreadable(t *testing.T) {
	p, err := newPast([]byte(`{"scanner":`))
	if err == nil {
		t.Error("half a record is taken")
	}
	if h := p.whole(device.Health{Kind: device.KindScanner}); h.Counters != nil {
		t.Errorf("%v", h.Counters)
	}
}

// TestPastOverRestart: what a device did is known after a restart, is added to
// what it does then, and comes to the county, whose page says it in words.
func TestPastOverRestart(t *testing.T) {
	h := newHouse(t, func(o *Options) { o.Config.Devices.DocCamera = t.TempDir() + "/video0" })
	camera := func(x *terminal) (out device.Health) {
		for _, d := range x.Devices() {
			if d.Kind == device.KindDocCamera {
				return d
			}
		}
		t.Fatal("no camera")
		return out
	}
	h.await("the camera's fault", func() bool { return camera(h.terminal).Counters[countGone] == 1 })
	at := h.Now().Add(-time.Hour).Truncate(time.Second).UTC()
	h.past.mu.Lock()
	h.past.before[device.KindDocCamera] = record{LastGood: at, Counters: map[string]int64{"pages": 41}}
	h.past.mu.Unlock()
	next := h.again()
	next.await("the second fault", func() bool { return camera(next).Counters[countGone] == 2 })
	if c := camera(next); c.Counters["pages"] != 41 || !c.LastGood.Equal(at) {
		t.Errorf("after the restart: %+v", c)
	}
	id, _ := next.identity()
	next.engineNow().ReportHealth()
	var got wire.Device
	next.await("the county's report", func() bool {
		r, _, err := h.county.Health(t.Context(), id.ID)
		if err != nil {
			return false
		}
		for _, d := range r.Devices {
			if d.Kind == string(device.KindDocCamera) {
				got = d
			}
		}
		return got.Counters[countGone] == 2
	})
	if got.LastGood == nil || !got.LastGood.Equal(at) || got.Counted() != "拍、扫 41 页，断开 2 次" || got.Title() != "高拍仪" || !strings.Contains(got.Remedy, "插好") {
		t.Errorf("at the county: %+v, %s", got, got.Counted())
	}
}
