package main

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"cunban/kiosk/oplog"
	"cunban/kiosk/seal"
	"cunban/sync/upstream"
)

// The keys that receipts are checked with come out as the county has them.
func TestKey(t *testing.T) {
	dir := t.TempDir()
	county, err := seal.ParsePublicKey([]byte(runCommand(t, exitOK, "key", "--data", dir)))
	if err != nil {
		t.Fatal(err)
	}
	again, err := upstream.OpenKeys(dir, rand.Reader, time.Now())
	if err != nil || again.Sign.Public().ID() != county.ID() {
		t.Fatalf("the county signs with another key: %v", err)
	}
	runCommand(t, exitFailed, "key", "--data", dir, "--terminal", "140830-001")
	runCommand(t, exitUsage, "key", "--terminal", "140830-001")

	terminal, err := seal.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	former, err := seal.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	store, err := upstream.OpenStore(t.Context(), dir, "")
	if err != nil {
		t.Fatal(err)
	}
	err = store.Update(t.Context(), func(tx upstream.Tx) error {
		audit := func(terminal, detail string) error {
			return tx.AddAudit(upstream.Audit{At: time.Now(), What: "log.key", Object: terminal, Detail: detail})
		}
		return errors.Join(
			audit("140830-001", "0123456789abcdef"), // as an earlier version wrote
			audit("140830-002", base64.StdEncoding.EncodeToString(county.DER())),
			audit("140830-001", base64.StdEncoding.EncodeToString(former.Public().DER())),
			audit("140830-001", base64.StdEncoding.EncodeToString(terminal.Public().DER())),
			tx.PutTerminal(upstream.Terminal{ID: "140830-001", Serial: "SN-1"}),
			tx.PutLog(upstream.Log{Terminal: "140830-001", Key: terminal.Public().DER(), At: time.Now()}))
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := seal.ParsePublicKey([]byte(runCommand(t, exitOK, "key", "--data", dir, "--terminal", "140830-001")))
	if err != nil || got.ID() != terminal.Public().ID() {
		t.Errorf("the terminal's key: %v, %v", got, err)
	}
	for log, want := range map[string]*seal.PrivateKey{oplog.Origin(terminal.Public()): terminal, oplog.Origin(former.Public()): former} {
		got, err := seal.ParsePublicKey([]byte(runCommand(t, exitOK, "key", "--data", dir, "--terminal", "140830-001", "--log", log)))
		if err != nil || got.ID() != want.Public().ID() {
			t.Errorf("the key of %s: %v, %v", log, got, err)
		}
	}
	runCommand(t, exitFailed, "key", "--data", dir, "--terminal", "140830-001", "--log", oplog.Origin(county))
	runCommand(t, exitUsage, "key", "--data", dir, "--log", oplog.Origin(former.Public()))
	var a struct{ Name, Key string }
	if err := json.Unmarshal([]byte(runCommand(t, exitOK, "key", "--data", dir, "--terminal", "140830-001", "--json")), &a); err != nil ||
		a.Name != oplog.Origin(terminal.Public()) || a.Key != string(terminal.Public().PEM()) {
		t.Errorf("as JSON: %+v, %v", a, err)
	}
}
