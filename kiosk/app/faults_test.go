package app

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cunban/kiosk/cases"
	"cunban/kiosk/resident"
	"cunban/kiosk/seal"
	"cunban/kiosk/ui"
	"cunban/kiosk/vault"
	"cunban/kiosk/vault/keys"
	"cunban/sync"
	"cunban/sync/upstream"
	"cunban/sync/wire"
)

func TestSecondProgramOnTheSameVault(t *testing.T) {
	o := options(t, t.TempDir(), "")
	x := boot(t, o)
	_, err := New(t.Context(), o)
	words(t, err, "VT-01", "已经在运行")
	if !errors.Is(err, vault.ErrLocked) {
		t.Error(err)
	}
	if _, err := x.NewCaseID(); err != nil || x.Room(t.Context()) != nil {
		t.Error("the first one was disturbed")
	}
}

func TestWrongAndMissingKey(t *testing.T) {
	o := options(t, t.TempDir(), "")
	boot(t, o).halt()
	key := o.Config.Keys[0].Path
	right, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	_, err = New(t.Context(), o)
	words(t, err, "VT-05", "找不到磁盘密钥")
	// A key that another terminal made.
	if _, err := (keys.File{Path: key, Rand: rand.Reader}).Create(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err = New(t.Context(), o)
	words(t, err, "VT-02", "磁盘密钥不对")
	if err := os.WriteFile(key, []byte("nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = New(t.Context(), o)
	words(t, err, "VT-05", "找不到磁盘密钥")
	if !strings.Contains(ui.AsTrouble(err).Remedy, "密钥文件坏了") {
		t.Errorf("a damaged key: %q", ui.AsTrouble(err).Remedy)
	}
	if err := os.WriteFile(key, right, 0o600); err != nil {
		t.Fatal(err)
	}
	boot(t, o) // nothing was lost
}

// TestWordsOfTheVault goes over every error that a vault can open or work with.
// Newer and unsafe files are made in the vault's own tests.
func TestWordsOfTheVault(t *testing.T) {
	for err, want := range map[error][2]string{
		vault.ErrLocked:   {"VT-01", "已经在运行"},
		vault.ErrWrongKey: {"VT-02", "磁盘密钥不对"},
		vault.ErrNewer:    {"VT-03", "新版程序"},
		vault.ErrNotSafe:  {"VT-04", "不能保证"},
		keys.ErrNoKey:     {"VT-05", "找不到磁盘密钥"},
		os.ErrPermission:  {"VT-06", "打不开"},
	} {
		words(t, vaultTrouble(fmt.Errorf("open: %w", err)), want[0], want[1])
	}
	for err, want := range map[error][2]string{
		cases.ErrDiskFull:    {"ST-01", "存满了"},
		cases.ErrTooLarge:    {"ST-03", "页数太多"},
		cases.ErrExists:      {"ST-04", "已经提交过"},
		cases.ErrTooLate:     {"ST-05", "不能撤回"},
		cases.ErrNoCountyKey: {"ST-06", "没有登记好"},
		cases.ErrNotFound:    {"ST-07", "没有找到"},
		cases.ErrIllegal:     {"ST-08", "不能这样办"},
		vault.ErrClosed:      {"ST-02", "没有保存成功"},
	} {
		words(t, storeTrouble(fmt.Errorf("submit: %w", err)), want[0], want[1])
	}
	if storeTrouble(nil) != nil || troubleOf(nil, "") != nil {
		t.Error("nothing is no trouble")
	}
	words(t, troubleOf(&sync.Failure{Kind: sync.FailServer, Text: "县里系统出错", Detail: "500"}, "过一会儿再查"), "LN-02", "县里系统出错")
}

func TestDiskFull(t *testing.T) {
	var free atomic.Int64
	free.Store(1 << 40)
	h := newHouse(t, func(o *Options) {
		o.Config.MinFreeMB = 200
		o.FreeBytes = func(string) (int64, error) { return free.Load(), nil }
	})
	before := h.submit(h.filled("S01"))
	d := h.filled("J01", picture(t))
	// Before the form: no new one begins; one that has begun still fits.
	free.Store(150 << 20)
	words(t, h.Room(t.Context()), "ST-01", "存满了")
	// During submit.
	free.Store(10 << 20)
	_, err := h.Submit(t.Context(), d)
	words(t, err, "ST-01", "存满了")
	if s := ui.AsTrouble(err).Remedy; !strings.Contains(s, "不会丢") {
		t.Errorf("no word about what was saved: %q", s)
	}
	if _, err := h.Case(t.Context(), d.ID); !errors.Is(err, cases.ErrNotFound) {
		t.Errorf("half a case is there: %v", err)
	}
	h.await("the earlier case to be accepted all the same", func() bool { return h.state(before.ID) == cases.Accepted })
	// What she filled in is still there: the same draft goes when there is room.
	free.Store(150 << 20)
	c := h.submit(d)
	h.await("the number", func() bool { return h.state(c.ID) == cases.Accepted })
	_, err = h.Submit(t.Context(), d)
	words(t, err, "ST-04", "已经提交过")
}

func TestSubmitBeforeEnrolment(t *testing.T) {
	x := boot(t, options(t, t.TempDir(), "https://127.0.0.1:1"))
	d := x.filled("S01")
	d.Region = "140830100008"
	_, err := x.Submit(t.Context(), d)
	words(t, err, "ST-06", "没有登记好")
	_, err = x.Enrol(t.Context(), "nonsense", func(string) {})
	words(t, err, "EN-01", "登记码不对")
	if l := x.Line(); l.Kind != sync.LineDown || l.Text == "" {
		t.Errorf("%+v", l)
	}
}

// stranger is somebody at the other end of the cable who is not the county, or
// not as it should be.
func stranger(t *testing.T, cert *tls.Certificate, h http.HandlerFunc) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: time.Second}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if cert == nil {
			_ = srv.Serve(l)
			return
		}
		srv.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*cert}, MinVersion: tls.VersionTLS13}
		_ = srv.ServeTLS(l, "", "")
	}()
	t.Cleanup(func() { _ = srv.Close(); <-ended })
	return l.Addr().String()
}

func loginPage(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprint(w, "<html><body>Welcome! Please log in. OK accepted</body></html>")
}

func serverError(w http.ResponseWriter, r *http.Request) {
	w.Header().Set(wire.HeaderContract, wire.Version)
	w.Header().Set("Content-Type", wire.TypeProblem)
	w.WriteHeader(http.StatusInternalServerError)
	_ = json.NewEncoder(w).Encode(wire.NewProblem(wire.CodeServer, "disk on fire"))
}

// TestEveryTroubleOnTheLine: each keeps the case here, says in plain words what
// is the matter, and is over when its cause is.
func TestEveryTroubleOnTheLine(t *testing.T) {
	h := newHouse(t)
	certOf := func(k *upstream.Keys) *tls.Certificate {
		c, err := k.ServerCertificate(rand.Reader, time.Now(), []string{"127.0.0.1"})
		if err != nil {
			t.Fatal(err)
		}
		return &c
	}
	other, err := upstream.OpenKeys(t.TempDir(), rand.Reader, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		to   string
		want sync.LineKind
		text string
	}{
		{"unreachable", "127.0.0.1:1", sync.LineDown, "网络断开"},
		{"login page instead of TLS", stranger(t, nil, loginPage), sync.LinePortal, "网页登录"},
		{"somebody else's certificate", stranger(t, certOf(other), loginPage), sync.LineCertificate, "证书有问题"},
		{"page with the county's certificate", stranger(t, certOf(h.county.Keys()), loginPage), sync.LinePortal, "网页登录"},
		{"500", stranger(t, certOf(h.county.Keys()), serverError), sync.LineBusy, "县里系统正忙"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h.await("a good line", func() bool { return h.Line().Kind == sync.LineUp })
			n := h.atCounty()
			h.cable.plug(c.to)
			k := h.submit(h.filled("S01", picture(t)))
			h.await("the line to say "+string(c.want), func() bool { return h.Line().Kind == c.want })
			l := h.Line()
			if !strings.Contains(l.Text, c.text) || !strings.Contains(l.Text, "办件已保存在本机") || l.Detail == "" {
				t.Errorf("said %q, detail %q", l.Text, l.Detail)
			}
			if s := h.state(k.ID); s != cases.Saved {
				t.Errorf("the case is %s", s)
			}
			if items, counts, err := h.Queue(t.Context()); err != nil || counts.Waiting != 1 || counts.Attention != 0 || len(items) != 1 {
				t.Errorf("queue %+v, %+v, %v", items, counts, err)
			}
			if st, err := h.Status(t.Context()); err != nil || st.Line.Kind != c.want || st.Counts.Waiting != 1 {
				t.Errorf("the technician reads %+v, %v", st.Line, err)
			}
			h.cable.plug(h.county.addr)
			h.await("the number", func() bool { return h.state(k.ID) == cases.Accepted })
			if got := h.atCounty(); got != n+1 {
				t.Errorf("the county has %d cases, had %d", got, n)
			}
		})
	}
}

// keepOne is cases.Store as far as sealing needs it.
type keepOne struct {
	cases.Store
	got cases.Submission
}

func (k *keepOne) Submit(_ context.Context, s cases.Submission) (cases.Case, error) {
	k.got = s
	return s.Case, nil
}
func (k *keepOne) OwnerIndex(resident.IDNumber) []byte { return nil }

// TestAnotherCaseUnderTheSameNumber: the county has other content under id and
// revision. Nothing is overwritten on either side; staff are told.
func TestAnotherCaseUnderTheSameNumber(t *testing.T) {
	h := newHouse(t)
	d, other := h.filled("S01"), h.filled("S01")
	other.ID = d.ID
	var k keepOne
	if _, err := (cases.Desk{Store: &k, CountyKey: h.county.Keys().Seal[0].Public(), Rand: rand.Reader, Now: time.Now}).Submit(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	s := k.got
	if _, _, err := h.county.Receive(t.Context(), h.Point().TerminalID, wire.CasePut{CaseID: s.Case.ID, Revision: 1, Service: s.Case.Service,
		Catalogue: s.Case.Catalogue, Region: s.Case.Region, StartedAt: s.Case.StartedAt, SavedAt: s.Case.SavedAt, Mode: string(s.Case.Mode),
		Demo: s.Case.Demo, KeyID: s.KeyID, Envelope: s.Envelope, Body: s.Body, Digest: wire.Hex(seal.Digest(s.Body)), Outstanding: s.Case.Outstanding}); err != nil {
		t.Fatal(err)
	}
	c := h.submit(d)
	next := h.submit(h.filled("J01")) // one bad item never stops another
	h.await("staff to be told", func() bool { return h.state(c.ID) == cases.Attention })
	h.await("the next one", func() bool { return h.state(next.ID) == cases.Accepted })
	items, counts, err := h.Queue(t.Context())
	if err != nil || counts.Attention != 1 || len(items) != 1 {
		t.Fatalf("queue %+v, %+v, %v", items, counts, err)
	}
	if !strings.Contains(items[0].Reason, "同号但内容不同") || !strings.Contains(items[0].Reason, "帮办员") {
		t.Errorf("said %q", items[0].Reason)
	}
	h.await("the page to be told", func() bool { return h.eyes.saw(c.ID, cases.Attention) })
	if row, err := h.county.FindCase(t.Context(), c.ID); err != nil || h.atCounty() != 2 || row.Revision != 1 {
		t.Errorf("the county's is %+v, %v", row, err)
	}
	// A clerk tries again: told again, not lost. Nobody else may.
	words(t, h.Resend(t.Context(), c.ID), "AC-02", "要帮办员先登录")
	h.clerk()
	if err := h.Resend(t.Context(), c.ID); err != nil {
		t.Fatal(err)
	}
	h.await("staff to be told again", func() bool { return h.state(c.ID) == cases.Attention })
}

func TestRevokedTerminal(t *testing.T) {
	h := newHouse(t)
	id := h.Point().TerminalID
	h.cable.cut()
	c := h.submit(h.filled("S01"))
	if err := h.county.Revoke(t.Context(), id, "设备要搬走", "test"); err != nil {
		t.Fatal(err)
	}
	h.cable.plug(h.county.addr)
	h.await("the terminal to close", func() bool { return strings.Contains(h.Point().Closed, "已停用") })
	d := h.filled("J01")
	_, err := h.Submit(t.Context(), d)
	words(t, err, "TM-01", "县里已停用这台终端")
	// It stays so over a start without a line, and what was saved is there.
	h.cable.cut()
	h.terminal = h.again()
	if !strings.Contains(h.Point().Closed, "已停用") {
		t.Errorf("after a start: %+v", h.Point())
	}
	if s := h.state(c.ID); s != cases.Saved && s != cases.Accepted {
		t.Errorf("the case is %s", s)
	}
	if err := h.county.Revoke(t.Context(), id, "", "test"); err != nil {
		t.Fatal(err)
	}
	h.cable.plug(h.county.addr)
	h.await("the terminal to open", func() bool { return h.Point().Closed == "" })
	h.submit(d)
	h.await("both", func() bool { return h.state(c.ID) == cases.Accepted && h.state(d.ID) == cases.Accepted })
}

// TestWipeWhileItIsSaved: the visit ends, and is wiped, while the case is on its
// way to the disk. What is sealed is what she signed.
func TestWipeWhileItIsSaved(t *testing.T) {
	var wipe atomic.Pointer[func()]
	o := options(t, t.TempDir(), "")
	o.Now = func() time.Time {
		if f := wipe.Swap(nil); f != nil {
			(*f)()
		}
		return time.Now()
	}
	x := boot(t, o)
	key, err := seal.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if err := x.vault.Put(t.Context(), sync.KeySeal, key.Public().PEM()); err != nil {
		t.Fatal(err)
	}
	page := picture(t)
	d := x.filled("S01", bytes.Clone(page))
	d.Region = "140830100008"
	answers := bytes.Clone(d.Answers)
	f := func() {
		clear(d.Scans[0].Data)
		clear(d.Answers)
		clear(d.Signature)
	}
	wipe.Store(&f)
	c := x.submit(d)
	if wipe.Load() != nil || d.Answers[0] != 0 {
		t.Fatal("not wiped meanwhile")
	}
	items, err := x.vault.Lease(t.Context(), time.Now(), time.Minute, 1)
	if err != nil || len(items) != 1 {
		t.Fatalf("%d items, %v", len(items), err)
	}
	k, err := key.OpenEnvelope(items[0].Envelope, cases.EnvelopeAAD(c.ID, 1))
	if err != nil {
		t.Fatal(err)
	}
	b, err := cases.OpenBody(k, items[0].Body, c.ID, 1, key.Public().ID())
	if err != nil || !bytes.Equal(b.Answers, answers) || string(b.Signature) != "png" {
		t.Errorf("body %v: answers %.80s", err, b.Answers)
	}
	r, _, err := x.vault.OpenFile(t.Context(), c.ID, "1-01.sealed")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	sealed, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := seal.Open(k, sealed, cases.FileAAD(c.ID, 1, "1-01.sealed"))
	if err != nil || !bytes.Equal(plain, page) {
		t.Errorf("page: %d bytes of %d, %v", len(plain), len(page), err)
	}
}
