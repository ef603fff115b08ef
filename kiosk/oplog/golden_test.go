package oplog

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"cunban/kiosk/seal"
)

var update = flag.Bool("update", false, "write testdata/golden anew, when the export's form has changed on purpose")

// TestGoldenExport: an export that an earlier version wrote verifies for ever.
// Its private keys were never kept.
func TestGoldenExport(t *testing.T) {
	newest := filepath.Join("testdata", "golden2")
	if *update {
		if err := os.MkdirAll(newest, 0o755); err != nil {
			t.Fatal(err)
		}
		s := newSample(t, 12, 5, 9, 12)
		for name, b := range map[string][]byte{
			"export.txt": s.export(t, 0), "pruned.txt": s.export(t, 3), "terminal.pem": s.terminal.Public().PEM(), "county.pem": s.county.Public().PEM(),
		} {
			if err := os.WriteFile(filepath.Join(newest, name), b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	for version, dir := range map[int]string{1: filepath.Join("testdata", "golden"), 2: newest} {
		t.Run(dir, func(t *testing.T) { goldenExport(t, dir, version) })
	}
}

func goldenExport(t *testing.T, dir string, version int) {
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	key := func(name string) []*seal.PublicKey {
		k, err := seal.ParsePublicKey(read(name))
		if err != nil {
			t.Fatal(err)
		}
		return []*seal.PublicKey{k}
	}
	k := Keys{Terminal: key("terminal.pem"), County: key("county.pem")}
	for name, first := range map[string]int64{"export.txt": 0, "pruned.txt": 3} {
		rep, err := VerifyExport(bytes.NewReader(read(name)), k)
		if err != nil || rep.Size != 12 || rep.First != first || rep.Countersigned != 5 || rep.Checkpoints != 3 {
			t.Errorf("%s: %+v, %v", name, rep, err)
		}
		x, err := NewExportReader(bytes.NewReader(read(name)))
		if err != nil || x.Header().Version != version || len(x.Header().Seeds) != version-1 {
			t.Errorf("%s: head %+v, %v", name, x.Header(), err)
		}
	}
	// With the keys the wrong way round nothing verifies.
	if _, err := VerifyExport(bytes.NewReader(read("export.txt")), Keys{Terminal: k.County, County: k.Terminal}); AsBad(err) == nil {
		t.Errorf("keys swapped: %v", err)
	}
}
