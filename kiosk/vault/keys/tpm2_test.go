//go:build unix

package keys

import (
	"bytes"
	"crypto/rand"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"cunban/kiosk/vault/keys/tpmtest"
)

// softTPM starts a TPM of its own and returns its socket and the means to stop
// it.
func softTPM(t *testing.T) (socket string, stop func()) {
	t.Helper()
	dir, err := os.MkdirTemp("", "cunban-tpm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket, stop, err = tpmtest.Start(dir)
	if errors.Is(err, tpmtest.ErrMissing) && os.Getenv("CUNBAN_CI") != "1" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return socket, stop
}

// wantTrouble demands an ErrSource whose words hold a part.
func wantTrouble(t *testing.T, err error, words string) {
	t.Helper()
	if !errors.Is(err, ErrSource) || errors.Is(err, ErrNoKey) || !strings.Contains(Remedy(err), words) {
		t.Fatalf("%v does not say %q", err, words)
	}
}

func sealed(t *testing.T) (TPM2, []byte) {
	t.Helper()
	socket, _ := softTPM(t)
	s := TPM2{Path: filepath.Join(t.TempDir(), "sub", "disk.tpm2"), Device: socket, Rand: rand.Reader}
	if _, err := s.Load(t.Context()); !errors.Is(err, ErrNoKey) || errors.Is(err, ErrSource) {
		t.Fatalf("before: %v", err)
	}
	key, err := s.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s, key
}

func TestTPM2(t *testing.T) {
	s, key := sealed(t)
	for range 10 { // more often than the chip has room for what is left behind
		got, err := s.Load(t.Context())
		if err != nil || !bytes.Equal(got, key) {
			t.Fatalf("loaded %v", err)
		}
	}
	if _, err := s.Create(t.Context()); !errors.Is(err, ErrExists) {
		t.Errorf("made twice: %v", err)
	}
	text, err := os.ReadFile(s.Path)
	if err != nil || bytes.Contains(text, key) {
		t.Errorf("the file shows the key, %v", err)
	}
	f, err := LoadOrCreate(t.Context(), []Source{s})
	if err != nil || f.Source != NameTPM2 || f.Created || !strings.Contains(f.Strength, "TPM") {
		t.Fatalf("found %+v, %v", f, err)
	}
	f.Key.Wipe()
}

func TestTPM2AnotherChip(t *testing.T) {
	s, _ := sealed(t)
	s.Device, _ = softTPM(t)
	_, err := s.Load(t.Context())
	wantTrouble(t, err, "不是封存密钥的那块安全芯片：")
}

func TestTPM2Cleared(t *testing.T) {
	s, key := sealed(t)
	command(t, s, func(tpm transport.TPM) error {
		_, err := tpm2.Clear{AuthHandle: tpm2.TPMRHLockout}.Execute(tpm)
		return err
	})
	_, err := s.Load(t.Context())
	wantTrouble(t, err, "被清空过")
	// What the words say to do.
	if err := os.Remove(s.Path); err != nil {
		t.Fatal(err)
	}
	again, err := s.Create(t.Context())
	if err != nil || bytes.Equal(again, key) {
		t.Fatal(err)
	}
}

func TestTPM2Absent(t *testing.T) {
	s, _ := sealed(t)
	s.Device = filepath.Join(t.TempDir(), "tpmrm0")
	_, err := s.Load(t.Context())
	wantTrouble(t, err, "没有找到安全芯片")
	s.Path += ".other"
	_, err = s.Create(t.Context())
	wantTrouble(t, err, "没有找到安全芯片")
	// A chip in trouble is never taken for one without a key.
	weak := &fake{name: "file", load: ErrNoKey, key: key(4)}
	s.Path = strings.TrimSuffix(s.Path, ".other")
	if _, err := LoadOrCreate(t.Context(), []Source{s, weak}); !errors.Is(err, ErrSource) || weak.createdAt != 0 {
		t.Errorf("an absent chip led to a weaker key: %v", err)
	}
	s.Device = s.Path // something else stands there
	_, err = s.Load(t.Context())
	wantTrouble(t, err, "打不开安全芯片")
}

func TestTPM2Silent(t *testing.T) {
	socket, stop := softTPM(t)
	s := TPM2{Path: filepath.Join(t.TempDir(), "k"), Device: socket, Rand: rand.Reader}
	if _, err := s.Create(t.Context()); err != nil {
		t.Fatal(err)
	}
	stop()
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go func() { // ends with the listener
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	_, err = s.Load(t.Context())
	wantTrouble(t, err, "没有正常回答")
}

func TestTPM2NoRights(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("nothing is forbidden to root")
	}
	s, _ := sealed(t)
	if err := os.Chmod(s.Device, 0); err != nil {
		t.Fatal(err)
	}
	_, err := s.Load(t.Context())
	wantTrouble(t, err, "没有权限")
}

func TestTPM2Damaged(t *testing.T) {
	s, key := sealed(t)
	whole, err := os.ReadFile(s.Path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(whole); i += 7 {
		harmed := bytes.Clone(whole)
		harmed[i] ^= 1
		if err := os.WriteFile(s.Path, harmed, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Load(t.Context()); err == nil {
			// A letter of base64 that says the same, or white space.
			if !bytes.Equal(got, key) {
				t.Fatalf("byte %d: another key", i)
			}
		} else {
			wantTrouble(t, err, "坏了")
		}
	}
	for _, text := range [][]byte{nil, whole[:len(whole)/2], append(bytes.Clone(whole), whole...), make([]byte, 1<<20)} {
		if err := os.WriteFile(s.Path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := s.Load(t.Context())
		wantTrouble(t, err, "坏了")
	}
	// Whole to the eye, but not what the chip gave.
	b, err := parseTPMBlob(whole)
	if err != nil {
		t.Fatal(err)
	}
	for i := range b.Private {
		harmed := b
		harmed.Private = bytes.Clone(b.Private)
		harmed.Private[i] ^= 0x10
		text, err := formatTPMBlob(harmed)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(s.Path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err = s.Load(t.Context())
		wantTrouble(t, err, "坏了")
	}
}

// command gives the chip a command behind the source's back.
func command(t *testing.T, s TPM2, do func(transport.TPM) error) {
	t.Helper()
	c, err := s.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	if err := do(c.tpm); err != nil {
		t.Fatal(err)
	}
}

// TestTPM2LockedOut: a chip that is locked by somebody's wrong passwords still
// gives this key; for an object that the lock holds, the words say to wait.
func TestTPM2LockedOut(t *testing.T) {
	s, key := sealed(t)
	c, err := s.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	guarded := sealedTemplate
	guarded.ObjectAttributes.NoDA = false
	rsp, err := tpm2.Create{
		ParentHandle: tpm2.AuthHandle{Handle: c.srk, Name: c.srkName, Auth: tpm2.PasswordAuth(nil)},
		InSensitive: tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{
			UserAuth: tpm2.TPM2BAuth{Buffer: []byte("secret")},
			Data:     tpm2.NewTPMUSensitiveCreate(&tpm2.TPM2BSensitiveData{Buffer: []byte("x")}),
		}},
		InPublic: tpm2.New2B(guarded),
	}.Execute(c.tpm)
	if err != nil {
		t.Fatal(err)
	}
	b := tpmBlob{SRK: c.srkName.Buffer, Public: rsp.OutPublic.Bytes(), Private: rsp.OutPrivate.Buffer}
	for range 40 { // without the password
		if _, err = c.unseal(t.Context(), b); errors.Is(err, tpm2.TPMRCLockout) {
			break
		}
	}
	wantTrouble(t, err, "暂时锁住了")
	c.close()
	got, err := s.Load(t.Context())
	if err != nil || !bytes.Equal(got, key) {
		t.Fatalf("somebody's mistyped password stopped the terminal: %v", err)
	}
}

// TestTPM2Owned: a chip with an owner's password is of no use, and says so.
func TestTPM2Owned(t *testing.T) {
	s, _ := sealed(t)
	command(t, s, func(tpm transport.TPM) error {
		_, err := tpm2.HierarchyChangeAuth{AuthHandle: tpm2.TPMRHOwner, NewAuth: tpm2.TPM2BAuth{Buffer: []byte("mine")}}.Execute(tpm)
		return err
	})
	_, err := s.Load(t.Context())
	wantTrouble(t, err, "所有者口令")
}

// listener keeps all that passes on the bus.
type listener struct {
	transport.TPM
	heard *bytes.Buffer
}

func (l listener) Send(in []byte) ([]byte, error) {
	out, err := l.TPM.Send(in)
	l.heard.Write(in)
	l.heard.Write(out)
	return out, err
}

// TestTPM2Bus: who listens on the bus never hears the key.
func TestTPM2Bus(t *testing.T) {
	socket, _ := softTPM(t)
	var heard bytes.Buffer
	s := TPM2{Path: filepath.Join(t.TempDir(), "k"), Device: socket, Rand: rand.Reader,
		tap: func(tpm transport.TPM) transport.TPM { return listener{tpm, &heard} }}
	key, err := s.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if heard.Len() < 1000 || bytes.Contains(heard.Bytes(), key[:8]) || bytes.Contains(heard.Bytes(), key[Size-8:]) {
		t.Fatalf("the key is on the bus, in %d bytes", heard.Len())
	}
	// Without the session it would be.
	text, err := os.ReadFile(s.Path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := parseTPMBlob(text)
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	obj, err := tpm2.Load{ParentHandle: tpm2.AuthHandle{Handle: c.srk, Name: c.srkName, Auth: tpm2.PasswordAuth(nil)},
		InPrivate: tpm2.TPM2BPrivate{Buffer: b.Private}, InPublic: tpm2.BytesAs2B[tpm2.TPMTPublic](b.Public)}.Execute(c.tpm)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (tpm2.Unseal{ItemHandle: tpm2.AuthHandle{Handle: obj.ObjectHandle, Name: obj.Name, Auth: tpm2.PasswordAuth(nil)}}).Execute(c.tpm); err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(heard.Bytes(), key) {
		t.Fatal("this listener hears nothing at all")
	}
}

func FuzzTPMBlob(f *testing.F) {
	whole, err := formatTPMBlob(tpmBlob{SRK: make([]byte, nameSize), EK: make([]byte, nameSize),
		Public: tpm2.Marshal(sealedTemplate), Private: []byte{1}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add([]byte(`{"format":"cunban-tpm2-key","version":1}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		b, err := parseTPMBlob(text)
		if err != nil {
			return
		}
		again, err := formatTPMBlob(b)
		if err != nil {
			t.Fatal(err)
		}
		if c, err := parseTPMBlob(again); err != nil || !bytes.Equal(c.Private, b.Private) {
			t.Fatalf("%v", err)
		}
	})
}

// FuzzTPMPublic feeds the part that the library reads, past the file's digest.
func FuzzTPMPublic(f *testing.F) {
	f.Add(tpm2.Marshal(sealedTemplate))
	f.Fuzz(func(t *testing.T, public []byte) {
		text, err := formatTPMBlob(tpmBlob{SRK: make([]byte, nameSize), Public: public, Private: []byte{1}})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = parseTPMBlob(text) // must not panic
	})
}
