package upstream_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	gosync "sync"
	"testing"
	"testing/fstest"
	"time"

	"cunban/kiosk/cases"
	"cunban/sync/upstream"
	"cunban/sync/wire"
)

func TestDemoOfficeMovesDemoCasesOnly(t *testing.T) {
	c := startCounty(t, t.TempDir(), autoApprove)
	x := c.enrol("SN-1", region1)
	demo := x.draft()
	real := x.draft(func(d *cases.Draft) { d.Actor.Demo = false })
	x.send(demo, http.StatusCreated)
	x.send(real, http.StatusCreated)
	office := upstream.DemoOffice{County: c.County, Process: 20 * time.Second, Finish: 60 * time.Second}
	state := func(d draft) upstream.CaseState {
		row, err := c.FindCase(t.Context(), d.put.CaseID)
		if err != nil {
			t.Fatal(err)
		}
		return row.State
	}
	for _, step := range []struct {
		wait time.Duration
		want upstream.CaseState
	}{{0, upstream.StateAccepted}, {21 * time.Second, upstream.StateProcessing}, {10 * time.Second, upstream.StateProcessing}, {30 * time.Second, upstream.StateFinished}} {
		c.clock.add(step.wait)
		if err := office.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := state(demo); got != step.want {
			t.Errorf("after %v more: %s, want %s", step.wait, got, step.want)
		}
		if got := state(real); got != upstream.StateAccepted {
			t.Errorf("a real case moved to %s by itself", got)
		}
	}
}

// busyOffice fails first and counts what it is handed.
type busyOffice struct {
	mu    gosync.Mutex
	fails int
	got   map[string]int
	names map[string]string
	all   chan struct{}
	want  int
}

func (o *busyOffice) Hand(_ context.Context, d upstream.Dossier) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.fails > 0 {
		o.fails--
		return errors.New("busy")
	}
	o.got[d.Case.ID]++
	o.names[d.Case.ID] = d.Body.Applicant.Name
	if len(o.got) == o.want {
		close(o.all)
		o.want = -1
	}
	return nil
}
func (*busyOffice) Step(context.Context) error { return nil }

func TestCasesAreHandedToTheBackOffice(t *testing.T) {
	o := &busyOffice{fails: 2, got: map[string]int{}, names: map[string]string{}, all: make(chan struct{}), want: 5}
	c := startCounty(t, t.TempDir(), autoApprove, func(_ *upstream.Options, r *upstream.RunOptions) { r.Office = o })
	x := c.enrol("SN-1", region1)
	for range 5 {
		x.send(x.draft(), http.StatusCreated)
	}
	select {
	case <-o.all:
	case <-time.After(20 * time.Second):
		t.Fatalf("handed on: %d", len(o.got))
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for id, name := range o.names {
		if name != zhangName {
			t.Errorf("case %s was handed on for %q", id, name)
		}
	}
}

func TestSamples(t *testing.T) {
	c := startCounty(t, t.TempDir(), autoApprove)
	files := fstest.MapFS{"jobs.json": {Data: []byte(`[{"id":"A"},{"id":"B"}]`)}, "notices.json": {Data: []byte(`[{"id":"N"}]`)}, "readme.txt": {}}
	for range 2 {
		counts, err := c.LoadSamples(t.Context(), files)
		if err != nil || counts["jobs"] != 2 || counts["notices"] != 1 {
			t.Fatalf("samples: %v %v", counts, err)
		}
	}
	x := c.enrol("SN-1", region1)
	var page wire.Changes
	x.call("GET", wire.PathChanges(x.id, "", 0), nil, &page)
	if len(page.Changes) != 3 {
		t.Fatalf("changes: %+v", page)
	}
	for _, ch := range page.Changes {
		if ch.Version != 1 {
			t.Errorf("%s/%s has version %d though nothing changed", ch.Kind, ch.ID, ch.Version)
		}
	}
	files["jobs.json"].Data = []byte(`{"id":"A"}`)
	if _, err := c.LoadSamples(t.Context(), files); !errors.Is(err, upstream.ErrSample) {
		t.Errorf("another shape: %v", err)
	}
}

// TestNothingOfAPersonLiesInClear reads every byte under the data folder.
func TestNothingOfAPersonLiesInClear(t *testing.T) {
	dir := t.TempDir()
	c := startCounty(t, dir, autoApprove)
	x := c.enrol("SN-1", region1)
	d := x.draft(withScan([]byte("SCAN-OF-" + zhangNumber)))
	x.send(d, http.StatusCreated)
	tryUpload(x, d)
	if _, err := c.OpenDossier(t.Context(), d.put.CaseID, "2001"); err != nil {
		t.Fatal(err)
	}
	x.ask(wire.QueryRecords, wire.RecordsIn{Service: "S07", Number: zhangNumber, Name: zhangName}, &wire.RecordsOut{})
	found := 0
	look := func() {
		err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, secret := range []string{zhangNumber, zhangName, "SCAN-OF-"} {
				if strings.Contains(string(b), secret) {
					t.Errorf("%s holds %q", path, secret)
				}
			}
			if strings.Contains(string(b), d.put.CaseID) {
				found++
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	look()
	c.stop()
	look()
	if found == 0 {
		t.Error("the case id was not found either: the search does not see the store")
	}
}
