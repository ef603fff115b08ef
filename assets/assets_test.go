package assets

import (
	"bufio"
	"bytes"
	"io/fs"
	"os"
	"strings"
	"testing"
)

func TestEverythingIsThere(t *testing.T) {
	services, codes := Catalogue()
	for name, b := range map[string][]byte{"services": services, "codes": codes, "regular": FontRegular(), "bold": FontBold(),
		"polkit rule": PolkitRule()} {
		if len(b) == 0 {
			t.Errorf("%s is empty", name)
		}
	}
	for want, dir := range map[string]fs.FS{"counties.csv": Divisions(), "villages/1408.csv.gz": Divisions(), "home.svg": Icons(),
		"jobs.json": Samples(), "NOTICE": Licenses(), "AGPL-3.0.txt": Licenses(), "OFL-NotoSansSC.txt": Licenses()} {
		if info, err := fs.Stat(dir, want); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// TestNoticeListsEveryModule keeps NOTICE in step with go.mod.
func TestNoticeListsEveryModule(t *testing.T) {
	mod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	notice, err := fs.ReadFile(Licenses(), "NOTICE")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for lines := bufio.NewScanner(bytes.NewReader(mod)); lines.Scan(); {
		f := strings.Fields(lines.Text())
		if len(f) >= 2 && strings.HasPrefix(lines.Text(), "\t") && strings.HasPrefix(f[1], "v") {
			n++
			if !strings.Contains(string(notice), "  "+f[0]+" "+f[1]) {
				t.Errorf("%s %s is not in licenses/NOTICE", f[0], f[1])
			}
		}
	}
	if n < 20 {
		t.Errorf("only %d modules found", n)
	}
}
