package upstream_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	mrand "math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	gosync "sync"
	"syscall"
	"testing"
	"time"

	"cunban/kiosk/seal"
	"cunban/sync/upstream"
	"cunban/sync/upstream/sample"
	"cunban/sync/wire"
)

// childDir makes the test binary a server on this folder.
const childDir = "CUNBAN_TEST_UPSTREAM_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := serveChild(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func serveChild(dir string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	c, store, err := openCounty(ctx, dir)
	if err != nil {
		return err
	}
	defer store.Close()
	return c.Run(ctx, upstream.RunOptions{Listen: "127.0.0.1:0", Office: upstream.People{},
		Ready: func(r upstream.Running) { fmt.Println("listening " + r.Listen) }})
}

func openCounty(ctx context.Context, dir string) (*upstream.County, upstream.Store, error) {
	keys, err := upstream.OpenKeys(dir, rand.Reader, time.Now())
	if err != nil {
		return nil, nil, err
	}
	store, err := upstream.OpenStore(ctx, dir, "")
	if err != nil {
		return nil, nil, err
	}
	c, err := upstream.New(upstream.Options{Dir: dir, Store: store, Keys: keys, Register: sample.New(time.Now, nil), AutoApprove: true})
	return c, store, err
}

// child is a server in a process of its own.
type child struct {
	cmd  *exec.Cmd
	addr string
}

func startChild(t *testing.T, dir string) *child {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the server did not start: %v", err)
	}
	return &child{cmd: cmd, addr: strings.TrimSpace(strings.TrimPrefix(line, "listening "))}
}

// killRounds is how often the server is killed; CUNBAN_KILL_ROUNDS asks for
// more.
func killRounds(t *testing.T) int {
	if v := os.Getenv("CUNBAN_KILL_ROUNDS"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return 6
}

// TestKillLosesNothingAcknowledged kills the server with SIGKILL while cases
// and files come in, starts it again and asks for everything it ever
// acknowledged.
func TestKillLosesNothingAcknowledged(t *testing.T) {
	dir := t.TempDir()
	var mu gosync.Mutex
	acked := map[string]string{} // case id → acceptance number, "" = only stored
	sent := map[string]draft{}
	var x *terminal
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	dice := mrand.New(mrand.NewPCG(seed, 1))
	for round := range killRounds(t) {
		srv := startChild(t, dir)
		if x == nil {
			inner, store, err := openCounty(t.Context(), dir)
			if err != nil {
				t.Fatal(err)
			}
			c := &county{County: inner, t: t, dir: dir, clock: &clock{}, addr: srv.addr}
			x = c.enrol("SN-1", region1)
			if err := store.Close(); err != nil {
				t.Fatal(err)
			}
		}
		x.c.addr = srv.addr
		x.http.CloseIdleConnections()
		checkAcked(t, x, acked, sent)

		var wg gosync.WaitGroup
		drafts := make([]draft, 60)
		for i := range drafts {
			if i%4 == 0 {
				drafts[i] = x.draft(withScan([]byte("scan " + strconv.Itoa(i))))
			} else {
				drafts[i] = x.draft()
			}
			sent[drafts[i].put.CaseID] = drafts[i]
		}
		work := make(chan draft, len(drafts))
		for _, d := range drafts {
			work <- d
		}
		close(work)
		for range 6 {
			wg.Go(func() {
				for d := range work {
					number, ok := tryPut(x, d)
					if !ok {
						return // the server is gone
					}
					if len(d.put.Files) > 0 {
						if tryUpload(x, d) {
							if n, ok := tryPut(x, d); ok {
								number = n
							}
						}
					}
					mu.Lock()
					acked[d.put.CaseID] = number
					mu.Unlock()
				}
			})
		}
		killAfter := time.Duration(5+dice.IntN(60)) * time.Millisecond
		timer := time.AfterFunc(killAfter, func() { _ = srv.cmd.Process.Kill() })
		wg.Wait()
		timer.Stop()
		_ = srv.cmd.Process.Kill()
		_ = srv.cmd.Wait()
		t.Logf("round %d: killed after %v, %d acknowledged so far", round, killAfter, len(acked))
	}
	srv := startChild(t, dir)
	x.c.addr = srv.addr
	checkAcked(t, x, acked, sent)
	// Everything that was ever sent arrives in the end, once, under a number of
	// its own.
	seen := map[string]string{}
	for id, d := range sent {
		if _, ok := tryPut(x, d); !ok {
			t.Fatalf("case %s: no answer", id)
		}
		if len(d.put.Files) > 0 && !tryUpload(x, d) {
			t.Fatalf("case %s: no upload", id)
		}
		n, ok := tryPut(x, d)
		if !ok || n == "" {
			t.Fatalf("case %s: no number", id)
		}
		if other, twice := seen[n]; twice {
			t.Fatalf("number %s for %s and %s", n, id, other)
		}
		seen[n] = id
	}
	if len(acked) == 0 {
		t.Error("nothing was acknowledged before the kills: the test shows nothing")
	}
	if err := srv.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := srv.cmd.Wait(); err != nil {
		t.Errorf("the server did not stop cleanly: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, upstream.RunningFile)); !os.IsNotExist(err) {
		t.Errorf("%s is left behind: %v", upstream.RunningFile, err)
	}
}

// checkAcked asks again for everything acknowledged: no new row, the same
// number.
func checkAcked(t *testing.T, x *terminal, acked map[string]string, sent map[string]draft) {
	t.Helper()
	for id, number := range acked {
		d := sent[id]
		r := x.send(d, http.StatusOK) // 201 would mean that it was lost
		if number != "" && r.Acceptance != number {
			t.Fatalf("case %s had number %s, now %q", id, number, r.Acceptance)
		}
	}
}

// tryPut sends a case to a server that may die; false = no answer.
func tryPut(x *terminal, d draft) (string, bool) {
	body, err := json.Marshal(d.put)
	if err != nil {
		return "", false
	}
	status, _, b, err := x.try("PUT", wire.PathCase(x.id, d.put.CaseID, d.put.Revision), http.Header{"Content-Type": {wire.TypeJSON}}, body)
	if err != nil {
		return "", false
	}
	var r wire.CaseReply
	if status >= 300 || json.Unmarshal(b, &r) != nil {
		x.t.Errorf("put: %d %s", status, b)
		return "", false
	}
	return r.Acceptance, true
}

// tryUpload sends the files that are missing; false = no answer.
func tryUpload(x *terminal, d draft) bool {
	for name, data := range d.files {
		m := wire.UploadMetadata{Case: d.put.CaseID, Revision: d.put.Revision, Name: name, Digest: wire.Hex(seal.Digest(data))}
		status, h, b, err := x.try("POST", wire.PathUploads, tusHeader(wire.HeaderUploadLength, strconv.Itoa(len(data)), wire.HeaderUploadMetadata, m.String()), nil)
		if err != nil {
			return false
		}
		if status != http.StatusCreated {
			x.t.Errorf("create: %d %s", status, b)
			return false
		}
		status, _, b, err = x.try("PATCH", h.Get("Location"), tusHeader("Content-Type", wire.TypeTusOffset, wire.HeaderUploadOffset, "0"), data)
		if err != nil {
			return false
		}
		if status != http.StatusNoContent {
			x.t.Errorf("patch: %d %s", status, b)
			return false
		}
	}
	return true
}
