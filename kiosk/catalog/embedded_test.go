package catalog

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func embedded(t testing.TB) *Catalogue {
	t.Helper()
	c, err := Embedded()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestEmbeddedCatalogueIsThePlans counts what the plan fixes: 40 items, 15 and
// 4 for work, 18 and 3 for insurance.
func TestEmbeddedCatalogueIsThePlans(t *testing.T) {
	c := embedded(t)
	if len(c.Services) != 40 || len(c.Agent) != 5 {
		t.Errorf("%d services, %d agent fields", len(c.Services), len(c.Agent))
	}
	for cat, want := range map[Category]int{FindWork: 15, Learn: 4, Insurance: 18, UseCard: 3} {
		if got := len(c.ByCategory(cat)); got != want {
			t.Errorf("%s: %d items, want %d", cat, got, want)
		}
	}
	queries := []string{"J02", "J07", "T01", "T03", "S07", "S08", "S09", "S12", "C01"}
	types := map[FieldType]bool{}
	for i := range c.Services {
		s := &c.Services[i]
		if (s.Kind == Ask) != slices.Contains(queries, s.ID) {
			t.Errorf("%s: kind %s", s.ID, s.Kind)
		}
		if c.Service(s.ID) != s {
			t.Errorf("%s is not found by its id", s.ID)
		}
		for _, f := range s.Fields {
			types[f.Type] = true
		}
		if s.Kind == Ask {
			continue
		}
		for _, name := range []string{"consent_notice", "consent_pi"} {
			if !slices.ContainsFunc(s.Fields, func(f Field) bool { return f.Name == name && f.Type == Consent && f.Required }) {
				t.Errorf("%s takes a case without %s", s.ID, name)
			}
		}
	}
	for _, ft := range FieldTypes {
		if !types[ft] {
			t.Errorf("no field of type %s", ft)
		}
	}
	for _, id := range []string{"S04", "S10", "S13", "S17", "C03"} { // rules.md 6.3: a second person
		if c.Service(id).Risk != High {
			t.Errorf("%s has risk %s", id, c.Service(id).Risk)
		}
	}
	if c.Service("Z99") != nil {
		t.Error("an unknown id gives a service")
	}
}

// TestAFaceIsNeverTheOnlyWay checks the rule on face recognition for the whole
// catalogue: no face is demanded that a separate consent did not ask for.
func TestAFaceIsNeverTheOnlyWay(t *testing.T) {
	c := embedded(t)
	for _, s := range c.Services {
		for _, f := range s.Fields {
			if f.Type != Face {
				continue
			}
			terms := f.Rules.VisibleWhen().Terms()
			if f.Required || len(terms) != 1 || !strings.HasPrefix(terms[0].Field, "consent_face") {
				t.Errorf("%s/%s is demanded without consent", s.ID, f.Name)
			}
		}
	}
}

func TestFind(t *testing.T) {
	c := embedded(t)
	all := c.Find("")
	if len(all) != len(c.Services) || !slices.IsSortedFunc(all, func(a, b *Service) int { return a.Popular - b.Popular }) {
		t.Errorf("no letters give %d items", len(all))
	}
	got := c.Find(" QZ ")
	if len(got) == 0 || got[0].ID != "J01" {
		t.Errorf("qz gives %v", got)
	}
	inner := false
	for _, s := range c.Find("dj") {
		begins := strings.HasPrefix(s.Pinyin, "dj")
		if !strings.Contains(s.Pinyin, "dj") || begins && inner {
			t.Errorf("%s (%s) is out of place", s.ID, s.Pinyin)
		}
		inner = inner || !begins
	}
	if !inner {
		t.Error("letters further in are not found")
	}
	if n := len(c.Find("zzz")); n != 0 {
		t.Errorf("zzz gives %d", n)
	}
}

func TestNewer(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{{"2026.11.2", "2026.11.1", true}, {"2026.11.1", "2026.11.1", false}, {"2026.11.10", "2026.11.9", true},
		{"2026.9.1", "2026.10.1", false}, {"2027.1.1", "2026.12.9999", true}, {"junk", "2026.1.1", false}, {"2026.1.1", "", true}} {
		if got := Newer(c.a, c.b); got != c.want {
			t.Errorf("Newer(%q, %q) = %v", c.a, c.b, got)
		}
	}
}

func TestBounds(t *testing.T) {
	today := time.Date(2026, 3, 31, 15, 0, 0, 0, time.UTC)
	for in, want := range map[string]string{"today": "2026-03-31", "+1d": "2026-04-01", "-1m": "2026-02-28", "+1m": "2026-04-30",
		"-12m": "2025-03-31", "+1y": "2027-03-31", "2020-02-29": "2020-02-29", "this_year": "2026-01-01", "last_year": "2025-01-01"} {
		b, err := ParseBound(in)
		if err != nil || b.Day(today).Format(DateLayout) != want {
			t.Errorf("%s: %v %v, want %s", in, b.Day(today), err, want)
		}
	}
	leap := time.Date(2028, 2, 29, 0, 0, 0, 0, time.UTC)
	if b, _ := ParseBound("-1y"); b.Day(leap).Format(DateLayout) != "2027-02-28" {
		t.Error(b.Day(leap))
	}
	if b, _ := ParseBound("last_year"); b.Number(today) != 2025 {
		t.Error(b.Number(today))
	}
	for _, in := range []any{"yesterday", "+1", "2026-13-01", true, "+9999d"} {
		if _, err := ParseBound(in); err == nil {
			t.Errorf("%v is a bound", in)
		}
	}
}

func TestConditions(t *testing.T) {
	get := func(name string) (string, []string) {
		return map[string]string{"a": "1", "m": ""}[name], map[string][]string{"m": {"x", "y"}}[name]
	}
	for in, want := range map[string]bool{"": true, "a=1": true, "a=2": false, "a!=2": true, "a!=1": false, "b!=1": false,
		"a in 2,1": true, "a in 2,3": false, "m has y,z": true, "m has z": false, "a=1 and m has x": true, "a=1 and b=1": false} {
		c, err := ParseCond(in)
		if err != nil || c.Eval(get) != want {
			t.Errorf("%q: %v %v", in, c.Eval(get), err)
		}
		if again, err := ParseCond(c.String()); err != nil || again.String() != c.String() {
			t.Errorf("%q does not read back", in)
		}
	}
	for _, in := range []string{"a", "a=", "=1", "a=1 or b=1", "a in", "A=1", "a=1 and ", "a=甲"} {
		if _, err := ParseCond(in); err == nil {
			t.Errorf("%q is a condition", in)
		}
	}
}

// FuzzCond: a condition that parses writes itself so that it parses again.
func FuzzCond(f *testing.F) {
	for _, s := range []string{"a=1", "a!=1 and b in 1,2", "m has x,y", "a=1 and "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseCond(s)
		if err != nil {
			return
		}
		again, err := ParseCond(c.String())
		if err != nil || again.String() != c.String() {
			t.Fatalf("%q → %q: %v", s, c, err)
		}
	})
}
