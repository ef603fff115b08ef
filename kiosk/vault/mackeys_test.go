package vault

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"cunban/kiosk/oplog"
)

// keysOnDisk counts which of the keys stand anywhere in the vault's files, once
// these are decrypted: what a thief sees who has the disk and the disk key.
func (b *bench) keysOnDisk(keys [][]byte) (n int) {
	b.t.Helper()
	im := b.images()
	for _, k := range keys {
		for _, image := range im {
			if bytes.Contains(image, k) {
				n++
				break
			}
		}
	}
	return n
}

// TestMACKeysAreForgotten shows what remains of the MAC keys, and when. Since
// the last checkpoint every one does (the WAL keeps what it was told); with a
// checkpoint, and with a proper end, none but the present one.
func TestMACKeysAreForgotten(t *testing.T) {
	b := newScrubbed(t)
	ctx := context.Background()
	b.enrol()
	const records = 40
	var former [][]byte
	work := func() {
		former = nil
		for i := range records {
			former = append(former, b.v.chain.Key()) // signs the next record, and is former then
			_, err := b.v.Record(ctx, oplog.Entry{Event: oplog.HelpCall, Role: oplog.RoleResident, Session: uint64(i + 1)})
			must(t, err)
		}
	}
	work()
	if n := b.keysOnDisk(former); n != records { // also the negative control of the search
		t.Fatalf("%d of %d former keys found since the last checkpoint; did the WAL change?", n, records)
	}
	b.checkpoint(0)
	if n := b.keysOnDisk(former); n != 0 {
		t.Fatalf("%d former keys after a checkpoint", n)
	}
	if n := b.keysOnDisk([][]byte{b.v.chain.Key()}); n != 1 {
		t.Fatalf("the present key is found %d times", n)
	}
	work()
	b.close()
	b.open()
	if n := b.keysOnDisk(former); n != 0 {
		t.Fatalf("%d former keys after a proper end", n)
	}
	// A power cut: the next start empties the WAL that it finds.
	work()
	dead := b.v
	b.o.Dir = copyOf(t, b.o.Dir)
	b.open()
	if b.v.Clean() {
		t.Fatal("the copy says that it was closed")
	}
	if n := b.keysOnDisk(former); n != 0 {
		t.Fatalf("%d former keys after a cut and a start", n)
	}
	b.verify()
	must(t, dead.Close(ctx))
}

// copyOf is a copy of a folder as it is now: what a power cut would leave.
func copyOf(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	must(t, os.CopyFS(to, os.DirFS(dir)))
	return to
}
