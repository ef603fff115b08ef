package divisions

import (
	"errors"
	"sync"
	"testing"
	"testing/fstest"

	"cunban/kiosk/catalog"
)

const home = "140830100201"

func embedded(t testing.TB) *Divisions {
	t.Helper()
	d, err := Embedded(home)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestNameIsTheFullName(t *testing.T) {
	d := embedded(t)
	for code, want := range map[string]string{
		"14": "山西省", "140000": "山西省", "1408": "山西省运城市", "140800": "山西省运城市", "140830": "山西省运城市芮城县",
		"140830000000": "山西省运城市芮城县", "140830107": "山西省运城市芮城县南磑镇", "110101": "北京市东城区", "1101": "北京市",
		"140881": "山西省运城市永济市", "140802001001": "山西省运城市盐湖区" + d.names["140802001"] + "西花园社区",
		"": "", "99": "", "140899": "", "140830999": "", "140830100999": "", "1": "", "abc": "", "14083010020": "",
	} {
		if got := d.Name(code); got != want {
			t.Errorf("Name(%q) = %q, want %q", code, got, want)
		}
	}
}

func TestHomeComesFirst(t *testing.T) {
	d := embedded(t)
	if p := d.Provinces(); len(p) != 31 || p[0].Label != "山西省" {
		t.Errorf("%d provinces, first %v", len(p), p[0])
	}
	c := d.Counties("14")
	if len(c) < 117 || c[0] != (catalog.Code{Code: "140830", Label: "芮城县", Note: "运城市"}) || c[1].Note != "运城市" {
		t.Errorf("%d counties, first %v %v", len(c), c[0], c[1])
	}
	if got := d.Counties("140800"); len(got) != 13 {
		t.Errorf("%d counties of Yuncheng", len(got))
	}
	if got := d.Cities("140000"); len(got) != 11 || got[0].Code != "1408" {
		t.Errorf("cities: %v", got)
	}
}

func TestRuichengHasAllItsVillages(t *testing.T) {
	d := embedded(t)
	towns := d.Towns("140830")
	if len(towns) != 11 {
		t.Fatalf("%d towns", len(towns))
	}
	n := 0
	for _, town := range towns {
		for _, v := range d.Villages(town.Code) {
			n++
			if full := d.Name(v.Code); full != d.Name(town.Code)+v.Label {
				t.Errorf("Name(%s) = %q", v.Code, full)
			}
		}
	}
	if n != 162 {
		t.Errorf("%d villages, want 162", n)
	}
}

// TestNobodyIsStuck goes down from every province by the first choice of each
// list: a code of twelve digits with a name comes out.
func TestNobodyIsStuck(t *testing.T) {
	d := embedded(t)
	for _, p := range d.Provinces() {
		for _, c := range d.Counties(p.Code) {
			towns := d.Towns(c.Code)
			if len(towns) == 0 {
				t.Fatalf("%s %s has no choice of towns", c.Code, c.Label)
			}
			for _, town := range towns {
				v := d.Villages(town.Code)
				if len(v) == 0 || len(v[0].Code) != lenVillage || d.Name(v[0].Code) == "" {
					t.Fatalf("%s %s: villages %v", town.Code, town.Label, v)
				}
			}
		}
	}
	if got := d.Name("610102000000"); got != "陕西省西安市新城区" {
		t.Error(got)
	}
	if d.Towns("999999") != nil || d.Villages("999999000") != nil || d.Villages("1408301") != nil {
		t.Error("choices below nothing")
	}
}

func TestCountiesOfOneProvinceCanBeToldApart(t *testing.T) {
	d := embedded(t)
	for _, p := range d.Provinces() {
		seen := map[string]bool{}
		for _, c := range d.Counties(p.Code) {
			if seen[c.Label] {
				t.Errorf("%s has two of %s", p.Label, c.Label)
			}
			seen[c.Label] = true
		}
	}
}

func TestEveryVillageOfShanxiHasAName(t *testing.T) {
	d := embedded(t)
	n := 0
	for _, c := range d.Counties("14") {
		for _, town := range d.Towns(c.Code) {
			vs := d.Villages(town.Code)
			for _, v := range vs {
				n++
				if v.Label == "" || d.Name(v.Code) == "" {
					t.Fatalf("village %s has no name", v.Code)
				}
			}
		}
	}
	if n < 21000 {
		t.Errorf("%d villages", n)
	}
}

func TestVillageNamesAreThoseOfPlaces(t *testing.T) {
	for in, want := range map[string]string{"太安村委会": "太安村", "董村村委会": "董村", "新风社区居民委员会": "新风社区",
		"西花园社区居委会": "西花园社区", "上庄村民委员会": "上庄村", "上庄村村民委员会": "上庄村", "村委会": "村委会", "农场": "农场"} {
		if got := villageName(in); got != want {
			t.Errorf("%s → %s, want %s", in, got, want)
		}
	}
}

func TestListsAreCopies(t *testing.T) {
	d := embedded(t)
	d.Provinces()[0].Label = "x"
	d.Villages("140830100")[0].Label = "x"
	if d.Provinces()[0].Label == "x" || d.Villages("140830100")[0].Label == "x" {
		t.Error("a caller can change the tables")
	}
}

func TestConcurrentUse(t *testing.T) {
	d := embedded(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if v := d.Villages("140830100"); len(v) == 0 || d.Name(v[0].Code) == "" {
				t.Error("no villages")
			}
		})
	}
	wg.Wait()
}

func TestBrokenTablesAreRefused(t *testing.T) {
	good := func() fstest.MapFS {
		f := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
		return fstest.MapFS{"provinces.csv": f("code,name\n14,山西省\n"), "cities.csv": f("code,name\n1408,运城市\n"),
			"counties.csv": f("code,name\n140830,芮城县\n"), "shanxi-towns.csv": f("code,name\n140830100,古魏镇\n")}
	}
	if _, err := New(good(), ""); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{"counties.csv": "code,name\n14083,芮城县\n", "cities.csv": "a,b\n",
		"provinces.csv": "code,name\n", "shanxi-towns.csv": "code,name\n14083010x,古魏镇\n"} {
		f := good()
		f[name].Data = []byte(data)
		if _, err := New(f, ""); !errors.Is(err, ErrTable) {
			t.Errorf("%s: %v", name, err)
		}
		delete(f, name)
		if _, err := New(f, ""); !errors.Is(err, ErrTable) {
			t.Errorf("no %s: %v", name, err)
		}
	}
	f := good()
	f["villages/1408.csv.gz"] = &fstest.MapFile{Data: []byte("not gzip")}
	d, err := New(f, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Preload("1408"); !errors.Is(err, ErrTable) {
		t.Errorf("Preload: %v", err)
	}
	if v := d.Villages("140830100"); len(v) != 1 || d.Name(v[0].Code) != "山西省运城市芮城县古魏镇" {
		t.Errorf("villages of a broken table: %v", v)
	}
}
