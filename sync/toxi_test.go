package sync_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"cunban/sync"
	"cunban/sync/storetest"
)

// meteredBody counts what really crossed the line, broken requests too.
type meteredBody struct {
	io.ReadCloser
	n      *atomic.Int64
	notify func(total int64)
}

func (b meteredBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.notify(b.n.Add(int64(n)))
	return n, err
}

// TestThinLine sends scans over a line of 64 kbit/s that breaks in the middle:
// under 10 % of the bytes are repeated, and a case without scans that is saved
// meanwhile does not wait for them. CUNBAN_LONG=1 sends 5 MB with more breaks.
func TestThinLine(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute on purpose")
	}
	size, breaks := 256<<10, []float64{0.42}
	patience := 3 * time.Minute
	if os.Getenv("CUNBAN_LONG") == "1" {
		size, breaks, patience = 5<<20, []float64{0.1, 0.2, 0.35, 0.5, 0.51, 0.7, 0.9}, 30*time.Minute
	}
	c := newCounty(t, 1, time.Now)
	var crossed atomic.Int64
	cut := make(chan struct{}, len(breaks))
	next := 0
	inner := c.handler()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPatch {
			r.Body = meteredBody{r.Body, &crossed, func(total int64) {
				if next < len(breaks) && float64(total) > breaks[next]*float64(size) {
					next++ // one upload at a time: no race
					cut <- struct{}{}
				}
			}}
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)

	zerolog.SetGlobalLevel(zerolog.Disabled)
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	proxy := toxiproxy.NewProxy(server, "line", "127.0.0.1:0", strings.TrimPrefix(srv.URL, "http://"))
	if err := proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Stop)
	add := func(toxic string) {
		if _, err := proxy.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
			t.Error(err)
		}
	}
	add(`{"name":"up","type":"bandwidth","stream":"upstream","attributes":{"rate":8}}`)
	add(`{"name":"down","type":"bandwidth","stream":"downstream","attributes":{"rate":8}}`)
	add(`{"name":"far","type":"latency","stream":"downstream","attributes":{"latency":150,"jitter":50}}`)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-ctx.Done():
				return
			case <-cut:
				proxy.Stop() // every connection breaks
				if err := proxy.Start(); err != nil {
					t.Error(err)
				}
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-done })

	m := storetest.NewMem()
	r := run(t, sync.Options{Store: m, Client: &http.Client{Transport: &http.Transport{}}, Base: "http://" + proxy.Listen, Timing: sync.DefaultTiming})
	began := time.Now()
	big := r.submit(size)
	awaitLong := func(kind sync.EventKind, id string) {
		t.Helper()
		timeout := time.After(patience)
		for {
			select {
			case ev := <-r.events:
				if ev.Kind == kind && ev.CaseID == id {
					return
				}
			case <-timeout:
				t.Fatalf("no %s of %s; line %+v", kind, id, r.e.Line())
			}
		}
	}
	awaitLong(sync.EventSent, big)
	small, saved := r.submit(), time.Now()
	awaitLong(sync.EventAccepted, small)
	if d := time.Since(saved); d > 15*time.Second {
		t.Errorf("a case without scans waited %v for the scans", d)
	}
	awaitLong(sync.EventAccepted, big)
	n := crossed.Load()
	t.Logf("%d bytes in %v, %d crossed the line, %.1f %% repeated, %d breaks", size, time.Since(began).Round(time.Second), n,
		100*float64(n-int64(size))/float64(size), next)
	if next != len(breaks) {
		t.Errorf("the line broke %d times, meant were %d", next, len(breaks))
	}
	if n-int64(size) > int64(size)/10 {
		t.Errorf("%d of %d bytes were repeated", n-int64(size), size)
	}
	if st := c.cases[caseKey(big, 1)]; st == nil || st.effects != 1 {
		t.Errorf("at the county: %+v", st)
	}
}
