package form_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"cunban/kiosk/catalog"
	"cunban/kiosk/form"
	"cunban/kiosk/resident"
)

// anyValue draws an answer that may or may not fit a field.
func anyValue(t *rapid.T, fd *catalog.Field) form.Value {
	codes := []string{"1", "0", "2", "", "6", "90"}
	for _, c := range fd.Codes {
		codes = append(codes, c.Code)
	}
	texts := rapid.OneOf(rapid.SampledFrom(codes), rapid.String(),
		rapid.SampledFrom([]string{"2026-11-25", "2026-11", "2026", "140830195603120024", "13800000000", "140830100204", "张示例"}))
	return form.Value{
		Text:     texts.Draw(t, "text"),
		List:     rapid.SliceOfN(rapid.SampledFrom(codes), 0, 4).Draw(t, "list"),
		Rows:     rapid.SliceOfN(rapid.MapOfN(rapid.SampledFrom([]string{"name", "sex", "idno", "x"}), texts, 0, 4), 0, 3).Draw(t, "rows"),
		Pages:    rapid.IntRange(-1, 12).Draw(t, "pages"),
		Strokes:  rapid.IntRange(-1, 9).Draw(t, "strokes"),
		Deferred: rapid.Bool().Draw(t, "deferred"),
	}
}

func equal(a, b form.Value) bool {
	return a.Text == b.Text && slices.Equal(a.List, b.List) && a.Pages == b.Pages && a.Strokes == b.Strokes &&
		a.Deferred == b.Deferred && slices.EqualFunc(a.Rows, b.Rows, maps.Equal[map[string]string, map[string]string])
}

// TestNoAnswerIsEverLost drives a form with any answers in any order: nothing
// panics, an answer stays until its own field is set again, what is visible
// agrees with what is paged, judged, reviewed and submitted, and JSON reads
// back.
func TestNoAnswerIsEverLost(t *testing.T) {
	cat := embedded(t)
	ctxs := contexts(t)
	names := slices.Sorted(maps.Keys(ctxs))
	withNames := home(t, resident.FromIDCard)
	rapid.Check(t, func(t *rapid.T) {
		svc := &cat.Services[rapid.IntRange(0, len(cat.Services)-1).Draw(t, "service")]
		ctx := ctxs[rapid.SampledFrom(names).Draw(t, "context")]
		if rapid.Bool().Draw(t, "divisions") {
			ctx.Divisions = withNames.Divisions
		}
		f := form.New(svc, cat, ctx, rapid.Bool().Draw(t, "agent"))
		var fields []*catalog.Field
		for i := range svc.Fields {
			fields = append(fields, &svc.Fields[i])
		}
		kept := map[string]form.Value{}
		for range rapid.IntRange(1, 25).Draw(t, "sets") {
			fd := rapid.SampledFrom(fields).Draw(t, "field")
			locked := f.Visible(fd) && !f.Editable(fd.Name)
			before := f.Get(fd.Name)
			f.Set(fd.Name, anyValue(t, fd))
			if got := f.Get(fd.Name); locked && !equal(got, before) {
				t.Fatalf("%s changed though it is locked", fd.Name)
			}
			kept[fd.Name] = f.Get(fd.Name)
			for name, want := range kept {
				if other := f.Field(name); other.Rules.Equals != "" && other.ReadOnly {
					continue // follows another field
				}
				if got := f.Get(name); !equal(got, want) && name != "aac010" && name != "aae006" {
					t.Fatalf("%s: %+v became %+v when %s was set", name, want, got, fd.Name)
				}
			}
		}
		consistent(t, f, svc)
		roundTrip(t, svc, cat, ctx, f)
	})
}

func consistent(t *rapid.T, f *form.Form, svc *catalog.Service) {
	steps := f.Steps()
	seen := map[string]bool{}
	for _, s := range steps {
		if seen[s.Key()] {
			t.Fatalf("step %s twice", s.Key())
		}
		seen[s.Key()] = true
		for _, fd := range s.Fields {
			if !f.Visible(fd) {
				t.Fatalf("step of %s, which is not visible", fd.Name)
			}
		}
		if p := f.CheckStep(s); p != nil && p.Text == "" {
			t.Fatalf("step %s: a problem without words", s.Key())
		}
		if s.Kind != form.StepKnown {
			if again, ok := f.StepFor(s.Key()); !ok || again.Key() != s.Key() {
				t.Fatalf("step %s cannot be opened from the review", s.Key())
			}
		}
	}
	b, err := f.JSON()
	if err != nil {
		t.Fatal(err)
	}
	for i := range svc.Fields {
		fd := &svc.Fields[i]
		submitted := strings.Contains(string(b), `"`+fd.Name+`":{`)
		if !f.Visible(fd) && (submitted || f.RequiredNow(fd) || f.Check(fd.Name) != nil) {
			t.Fatalf("%s is not visible: submitted %v", fd.Name, submitted)
		}
		if p := f.Check(fd.Name); p != nil && !p.Warn && !slices.ContainsFunc(f.Problems(), func(q form.Problem) bool { return q == *p }) {
			t.Fatalf("%s: %+v is not among the problems", fd.Name, *p)
		}
	}
	for _, l := range f.Summary() {
		if fd := f.Field(l.Field); fd != nil && l.Text != "由县里查" && !f.Visible(fd) {
			t.Fatalf("%s is reviewed though not visible", l.Field)
		}
	}
	f.Outstanding()
	f.MendSteps()
}

// FuzzLoad feeds Load foreign bytes: it refuses them, or gives a form that
// writes itself and reads back the same.
func FuzzLoad(f *testing.F) {
	cat := embedded(f)
	ctx := home(f, resident.FromIDCard)
	for _, id := range []string{"S01", "J11", "C03", "S03"} {
		g := form.New(cat.Service(id), cat, ctx, id == "S01")
		if err := form.FillSample(g); err != nil {
			f.Fatal(err)
		}
		b, err := g.JSON()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, id)
	}
	f.Add([]byte(`{"fields":{"family":{"v":[{"name":"\u0000"}],"src":"user"},"aac067":{"src":"user"}},"materials":{"居住证":{"pages":-1}}}`), "J11")
	f.Fuzz(func(t *testing.T, data []byte, id string) {
		svc := cat.Service(id)
		if svc == nil {
			return
		}
		g, err := form.Load(svc, cat, ctx, data, []string{"aac003"})
		if err != nil {
			return
		}
		one, err := g.JSON()
		if err != nil {
			t.Fatal(err)
		}
		h, err := form.Load(svc, cat, ctx, one, []string{"aac003"})
		if err != nil {
			t.Fatalf("own JSON is refused: %v", err)
		}
		two, err := h.JSON()
		if err != nil || string(one) != string(two) {
			t.Fatalf("%v\n%s\n%s", err, one, two)
		}
		g.Steps()
		g.Problems()
		g.Summary()
	})
}
