package main

import (
	"crypto/rand"
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
	store, err := upstream.OpenStore(t.Context(), dir, "")
	if err != nil {
		t.Fatal(err)
	}
	err = store.Update(t.Context(), func(tx upstream.Tx) error {
		return errors.Join(tx.PutTerminal(upstream.Terminal{ID: "140830-001", Serial: "SN-1"}),
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
	var a struct{ Name, Key string }
	if err := json.Unmarshal([]byte(runCommand(t, exitOK, "key", "--data", dir, "--terminal", "140830-001", "--json")), &a); err != nil ||
		a.Name != oplog.Origin(terminal.Public()) || a.Key != string(terminal.Public().PEM()) {
		t.Errorf("as JSON: %+v, %v", a, err)
	}
}
