package keys

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// fake is a source with canned answers.
type fake struct {
	name              string
	key               []byte
	load, create      error
	loaded, createdAt int
}

func (f *fake) Name() string { return f.name }
func (f *fake) Load(context.Context) ([]byte, error) {
	f.loaded++
	if f.load != nil {
		return nil, f.load
	}
	return bytes.Clone(f.key), nil
}
func (f *fake) Create(context.Context) ([]byte, error) {
	f.createdAt++
	if f.create != nil {
		return nil, f.create
	}
	return bytes.Clone(f.key), nil
}

func key(b byte) []byte { return bytes.Repeat([]byte{b}, Size) }

func TestLoadTakesTheFirstKey(t *testing.T) {
	none := &fake{name: "a", load: ErrNoKey}
	sick := &fake{name: "b", load: &Trouble{"b", "请插上U盘。", nil}}
	good := &fake{name: "c", key: key(7)}
	never := &fake{name: "d", key: key(8)}
	f, err := Load(t.Context(), []Source{none, sick, good, never})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Key.Wipe()
	if f.Source != "c" || !bytes.Equal(f.Key.Bytes(), key(7)) || never.loaded != 0 || f.Created {
		t.Errorf("found %+v", f)
	}
	if len(f.Warnings) != 1 || f.Warnings[0] != "请插上U盘。" {
		t.Errorf("warnings %q", f.Warnings)
	}
}

func TestLoadTellsNoKeyFromTrouble(t *testing.T) {
	none := &fake{name: "a", load: fmt.Errorf("x: %w", ErrNoKey)}
	if _, err := Load(t.Context(), []Source{none, none}); !errors.Is(err, ErrNoKey) || errors.Is(err, ErrSource) {
		t.Errorf("none has a key: %v", err)
	}
	odd := &fake{name: "b", load: errors.New("odd")}
	_, err := Load(t.Context(), []Source{none, odd})
	if !errors.Is(err, ErrSource) || errors.Is(err, ErrNoKey) || Remedy(err) == "" {
		t.Errorf("one in trouble: %v", err)
	}
	if _, err := Load(t.Context(), nil); !errors.Is(err, ErrNoKey) {
		t.Errorf("no source: %v", err)
	}
	short := &fake{name: "c", key: []byte("short")}
	if _, err := Load(t.Context(), []Source{short}); !errors.Is(err, ErrSource) {
		t.Errorf("short key: %v", err)
	}
}

func TestCreateOnlyWhenEverySourceIsEmpty(t *testing.T) {
	none := &fake{name: "a", load: ErrNoKey, create: ErrCannotCreate}
	empty := &fake{name: "b", load: ErrNoKey, key: key(3)}
	f, err := LoadOrCreate(t.Context(), []Source{none, empty})
	if err != nil || !f.Created || f.Source != "b" {
		t.Fatalf("found %+v, %v", f, err)
	}
	f.Key.Wipe()

	sick := &fake{name: "usb", load: &Trouble{"usb", "请插上U盘。", nil}}
	weaker := &fake{name: "file", load: ErrNoKey, key: key(4)}
	if _, err := LoadOrCreate(t.Context(), []Source{sick, weaker}); !errors.Is(err, ErrSource) || weaker.createdAt != 0 {
		t.Errorf("a missing stick led to a weaker key: %v, %d", err, weaker.createdAt)
	}
	if _, err := LoadOrCreate(t.Context(), []Source{none}); !errors.Is(err, ErrCannotCreate) {
		t.Errorf("nobody can: %v", err)
	}
	full := &fake{name: "c", load: ErrNoKey, create: &Trouble{"c", "空间不足。", nil}}
	if _, err := LoadOrCreate(t.Context(), []Source{full, empty}); !errors.Is(err, ErrSource) {
		t.Errorf("trouble while making: %v", err)
	}
}

func TestFile(t *testing.T) {
	f := File{Path: filepath.Join(t.TempDir(), "sub", "disk.key"), Rand: rand.Reader}
	if _, err := f.Load(t.Context()); !errors.Is(err, ErrNoKey) {
		t.Fatalf("before: %v", err)
	}
	made, err := f.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got, err := f.Load(t.Context())
	if err != nil || !bytes.Equal(got, made) {
		t.Fatalf("loaded %v", err)
	}
	if _, err := f.Create(t.Context()); !errors.Is(err, ErrExists) {
		t.Errorf("made twice: %v", err)
	}
	entries, err := os.ReadDir(filepath.Dir(f.Path))
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v %v", entries, err)
	}
	if !strings.Contains(f.Strength(), "单独拷走数据库") {
		t.Errorf("strength %q", f.Strength())
	}
	if runtime.GOOS == "windows" {
		return
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o620, 0o601} {
		if err := os.Chmod(f.Path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Load(t.Context()); !errors.Is(err, ErrSource) || Remedy(err) == "" {
			t.Errorf("mode %v: %v", mode, err)
		}
	}
}

func TestFileIsNotAFile(t *testing.T) {
	dir := t.TempDir()
	f := File{Path: dir, Rand: rand.Reader}
	if _, err := f.Load(t.Context()); !errors.Is(err, ErrSource) {
		t.Errorf("folder: %v", err)
	}
	if _, err := f.Create(t.Context()); !errors.Is(err, ErrExists) {
		t.Errorf("folder: %v", err)
	}
	if runtime.GOOS == "windows" {
		return
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink("/dev/null", link); err != nil {
		t.Fatal(err)
	}
	if _, err := (File{Path: link}).Load(t.Context()); !errors.Is(err, ErrSource) {
		t.Errorf("link: %v", err)
	}
}

// Whatever byte of a key file changes, it is told as damaged, never taken for
// another key; and the error never shows the key.
func TestDamagedFile(t *testing.T) {
	whole := formatKeyFile(key(0xab))
	if k, err := parseKeyFile(whole); err != nil || !bytes.Equal(k, key(0xab)) {
		t.Fatalf("whole: %v", err)
	}
	for i := range whole {
		for _, x := range []byte{1, 0x80} {
			bad := bytes.Clone(whole)
			bad[i] ^= x
			if _, err := parseKeyFile(bad); err == nil {
				t.Errorf("byte %d changed by %#x: taken", i, x)
			} else if strings.Contains(err.Error(), hex.EncodeToString(key(0xab))[:8]) {
				t.Errorf("error shows the key: %v", err)
			}
		}
		if _, err := parseKeyFile(whole[:i]); err == nil {
			t.Errorf("cut at %d: taken", i)
		}
	}
	path := filepath.Join(t.TempDir(), "k")
	if err := os.WriteFile(path, append(whole, ' '), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (File{Path: path}).Load(t.Context()); !errors.Is(err, ErrSource) || errors.Is(err, ErrNoKey) {
		t.Errorf("damaged: %v", err)
	}
}

func FuzzParseKeyFile(f *testing.F) {
	f.Add(formatKeyFile(key(1)))
	f.Add([]byte(fileMagic + " 00 00\n"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, text []byte) {
		k, err := parseKeyFile(text)
		if err == nil && !bytes.EqualFold(formatKeyFile(k), text) {
			t.Errorf("%q taken, but it is written %q", text, formatKeyFile(k))
		}
	})
}

func TestUSB(t *testing.T) {
	dir := t.TempDir()
	plugged := false
	u := USB{Mount: dir, Rand: rand.Reader, Mounted: func(d string) (bool, error) { return plugged && d == dir, nil }}
	if _, err := u.Load(t.Context()); !errors.Is(err, ErrSource) || !strings.Contains(Remedy(err), "插上U盘") {
		t.Errorf("no stick: %v", err)
	}
	if _, err := u.Create(t.Context()); !errors.Is(err, ErrSource) {
		t.Errorf("no stick: %v", err)
	}
	if e, err := os.ReadDir(dir); err != nil || len(e) != 0 {
		t.Errorf("a key landed in the empty mount folder: %v %v", e, err)
	}
	plugged = true
	if _, err := u.Load(t.Context()); !errors.Is(err, ErrNoKey) {
		t.Errorf("empty stick: %v", err)
	}
	made, err := u.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := u.Load(t.Context()); err != nil || !bytes.Equal(got, made) {
		t.Errorf("loaded: %v", err)
	}
	u.Mounted = func(string) (bool, error) { return false, errors.New("I/O") }
	if _, err := u.Load(t.Context()); !errors.Is(err, ErrSource) {
		t.Errorf("sick stick: %v", err)
	}
}

func TestMounted(t *testing.T) {
	if ok, err := Mounted(filepath.Join(t.TempDir(), "absent")); ok || err != nil {
		t.Errorf("absent: %v %v", ok, err)
	}
	if runtime.GOOS != "linux" {
		return
	}
	if ok, err := Mounted(t.TempDir()); ok || err != nil {
		t.Errorf("plain folder: %v %v", ok, err)
	}
	if ok, err := Mounted("/proc"); !ok || err != nil {
		t.Errorf("/proc: %v %v", ok, err)
	}
}

func TestSystemd(t *testing.T) {
	if _, err := (Systemd{Credential: "cunban"}).Load(t.Context()); !errors.Is(err, ErrNoKey) {
		t.Errorf("started without: %v", err)
	}
	s := Systemd{Dir: t.TempDir(), Credential: "cunban"}
	if _, err := s.Load(t.Context()); !errors.Is(err, ErrNoKey) {
		t.Errorf("not among them: %v", err)
	}
	if err := os.WriteFile(filepath.Join(s.Dir, "cunban"), formatKeyFile(key(5)), 0o440); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Load(t.Context()); err != nil || !bytes.Equal(got, key(5)) {
		t.Errorf("loaded: %v", err)
	}
	if _, err := s.Create(t.Context()); !errors.Is(err, ErrCannotCreate) {
		t.Errorf("create: %v", err)
	}
	s.Credential = "../cunban"
	if _, err := s.Load(t.Context()); !errors.Is(err, ErrSource) {
		t.Errorf("path in name: %v", err)
	}
}

// The helper is this test binary, which behaves as CUNBAN_HELPER says.
func TestMain(m *testing.M) {
	how, ok := os.LookupEnv("CUNBAN_HELPER")
	if !ok {
		os.Exit(m.Run())
	}
	var req helperRequest
	if err := json.NewDecoder(os.Stdin).Decode(&req); err != nil || req.Version != helperVersion {
		os.Exit(9)
	}
	switch how {
	case "echo":
		b := byte(1)
		if req.Do == "create" {
			b = 2
		}
		_ = json.NewEncoder(os.Stdout).Encode(map[string]any{"ok": true, "key": key(b)})
	case "hang":
		<-time.After(time.Hour)
	case "fail":
		fmt.Fprintln(os.Stderr, "device lost")
		os.Exit(3)
	case "flood":
		fmt.Print(strings.Repeat("x", 1<<20))
	default:
		fmt.Print(how)
	}
	os.Exit(0)
}

func helper(how string) Exec {
	return Exec{Path: os.Args[0], Env: []string{"CUNBAN_HELPER=" + how, "GORACE=atexit_sleep_ms=0"}, Timeout: time.Minute}
}

func TestExec(t *testing.T) {
	if k, err := helper("echo").Load(t.Context()); err != nil || !bytes.Equal(k, key(1)) {
		t.Errorf("load: %v", err)
	}
	if k, err := helper("echo").Create(t.Context()); err != nil || !bytes.Equal(k, key(2)) {
		t.Errorf("create: %v", err)
	}
	for how, want := range map[string]error{
		`{"ok":false,"error":"no-key"}`:                    ErrNoKey,
		`{"ok":false,"error":"exists"}`:                    ErrExists,
		`{"ok":false,"error":"cannot-create"}`:             ErrCannotCreate,
		`{"ok":false,"error":"trouble","text":"请插上密码钥匙。"}`: ErrSource,
		`{"ok":false}`:             ErrSource,
		`{"ok":true}`:              ErrSource,
		`{"ok":true,"key":"AAAA"}`: ErrSource,
		`{"ok":true,"key":"AAAA"`:  ErrSource,
		`{}{"ok":true}`:            ErrSource,
		"fail":                     ErrSource,
		"flood":                    ErrSource,
		"":                         ErrSource,
		`{"ok":true,"key":"` + strings.Repeat("A", 3000) + `"}`: ErrSource,
	} {
		_, err := helper(how).Load(t.Context())
		if !errors.Is(err, want) {
			t.Errorf("%.40q: %v instead of %v", how, err, want)
		}
		if errors.Is(err, ErrSource) && Remedy(err) == "" {
			t.Errorf("%.40q: no remedy in %v", how, err)
		}
	}
	if _, err := (Exec{Path: filepath.Join(t.TempDir(), "absent")}).Load(t.Context()); !errors.Is(err, ErrSource) {
		t.Errorf("absent: %v", err)
	}
	if got := Remedy(func() error {
		_, err := helper(`{"error":"trouble","text":"请插上密码钥匙。"}`).Load(t.Context())
		return err
	}()); got != "请插上密码钥匙。" {
		t.Errorf("remedy %q", got)
	}
}

func TestExecTimeout(t *testing.T) {
	e := helper("hang")
	e.Timeout = 200 * time.Millisecond
	start := time.Now()
	_, err := e.Load(t.Context())
	if !errors.Is(err, ErrSource) || !strings.Contains(Remedy(err), "及时") {
		t.Errorf("hanging helper: %v", err)
	}
	if d := time.Since(start); d > 30*time.Second {
		t.Errorf("waited %v", d)
	}
}

func TestSecret(t *testing.T) {
	want := key(0x5a)
	s, err := NewSecret(want)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(s.Bytes(), want) {
		t.Error("not the key")
	}
	t.Logf("locked in memory: %v", s.Locked())
	j, err := json.Marshal(struct{ S *Secret }{s})
	if err != nil {
		t.Fatal(err)
	}
	shown := string(j)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%X", "%d", "%q"} {
		shown += fmt.Sprintf(verb, s) + fmt.Sprintf(verb, Found{Key: s})
	}
	for _, leak := range []string{"5a5a", "5A5A", "90 90", "ZZ", "WlpaW"} {
		if strings.Contains(shown, leak) {
			t.Errorf("%q shows the key: %s", leak, shown)
		}
	}
	s.Wipe()
	s.Wipe()
	if s.Bytes() != nil || s.Locked() {
		t.Error("something is left after Wipe")
	}
	(*Secret)(nil).Wipe()
	if _, err := NewSecret(nil); err == nil {
		t.Error("an empty secret was taken")
	}
}
