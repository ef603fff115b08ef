package listing_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"regexp"
	"strings"
	"testing"
	"time"

	"cunban/assets"
	"cunban/kiosk/catalog"
	"cunban/kiosk/divisions"
	"cunban/kiosk/listing"
)

func samples(t testing.TB, name string) []json.RawMessage {
	t.Helper()
	b, err := fs.ReadFile(assets.Samples(), name)
	if err != nil {
		t.Fatal(err)
	}
	var list []json.RawMessage
	if err := json.Unmarshal(b, &list); err != nil {
		t.Fatal(err)
	}
	return list
}

// TestSamplesAreUsable reads every sample object as what it is, with codes of
// the catalogue, places that exist, and nothing that could be taken for real.
func TestSamplesAreUsable(t *testing.T) {
	cat, err := catalog.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	div, err := divisions.Embedded("140830")
	if err != nil {
		t.Fatal(err)
	}
	code := func(id, list, code string) {
		for _, c := range cat.Codes[list].Items {
			if c.Code == code || code == "" {
				return
			}
		}
		t.Errorf("%s: %q is no code of %s", id, code, list)
	}
	place := func(id, region string) {
		if region != "" && div.Name(region) == "" {
			t.Errorf("%s: no division %s", id, region)
		}
	}
	madeUp := func(id, name string) {
		if !strings.Contains(name, "示例") {
			t.Errorf("%s: %q could be taken for real", id, name)
		}
	}
	each(t, "jobs.json", 12, listing.ParseJob, func(j listing.Job) (listing.Head, catalog.Code) {
		code(j.ID, "job_category", j.Kind)
		code(j.ID, "employ_form", j.Form)
		place(j.ID, j.Region)
		madeUp(j.ID, j.Employer)
		return j.Head, j.Option()
	})
	each(t, "courses.json", 6, listing.ParseCourse, func(o listing.Course) (listing.Head, catalog.Code) {
		code(o.ID, "training_type", o.Type)
		code(o.ID, "job_category", o.Kind)
		code(o.ID, "ruicheng_town", o.Town)
		madeUp(o.ID, o.Org)
		return o.Head, o.Option()
	})
	each(t, "events.json", 4, listing.ParseEvent, func(e listing.Event) (listing.Head, catalog.Code) {
		place(e.ID, e.Region)
		madeUp(e.ID, e.Place)
		return e.Head, e.Option()
	})
	each(t, "posts.json", 4, listing.ParsePost, func(p listing.Post) (listing.Head, catalog.Code) {
		code(p.ID, "post_type", p.Type)
		place(p.ID, p.Region)
		madeUp(p.ID, p.Place)
		return p.Head, p.Option()
	})
	each(t, "policies.json", 6, listing.ParsePolicy, func(p listing.Policy) (listing.Head, catalog.Code) {
		code(p.ID, "policy_topic", p.Topic)
		if cat.Service(p.Service) == nil {
			t.Errorf("%s: no service %q", p.ID, p.Service)
		}
		return p.Head, catalog.Code{Code: p.ID, Label: p.Title}
	})
	each(t, "notices.json", 2, listing.ParseNotice, func(n listing.Notice) (listing.Head, catalog.Code) {
		return n.Head, catalog.Code{Code: n.ID, Label: n.Title}
	})
}

var longNumber = regexp.MustCompile(`\d{5,}`)

func each[T any](t *testing.T, file string, least int, parse func([]byte) (T, error), look func(T) (listing.Head, catalog.Code)) {
	t.Helper()
	list := samples(t, file)
	if len(list) < least {
		t.Errorf("%s has %d objects", file, len(list))
	}
	seen := map[string]bool{}
	for _, raw := range list {
		v, err := parse(raw)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		h, o := look(v)
		if seen[h.ID] || o.Code != h.ID || o.Label != h.Title {
			t.Errorf("%s: %s twice, or offered as %v", file, h.ID, o)
		}
		seen[h.ID] = true
		var m map[string]any
		if err := json.Unmarshal(raw, &m); err != nil {
			t.Fatal(err)
		}
		for k, val := range m {
			if s, ok := val.(string); ok && k != "region" && k != "town" {
				for _, n := range longNumber.FindAllString(s, -1) {
					if n != "12333" {
						t.Errorf("%s %s: %s holds the number %s", file, h.ID, k, n)
					}
				}
			}
		}
		var strict T // no key that the package does not document
		d := json.NewDecoder(strings.NewReader(string(raw)))
		d.DisallowUnknownFields()
		if err := d.Decode(&strict); err != nil {
			t.Errorf("%s %s: %v", file, h.ID, err)
		}
	}
}

const goodJob = `{"id":"J-1","title":"工","employer":"示例社","pay":"3000 元/月","pay_min":3000,"pay_max":3500,"distance_km":2.5,
	"place":"古魏镇","region":"140830100","kind":"5-01","valid_until":"2027-01-31"}`

func TestParseIsStrictAndTolerant(t *testing.T) {
	j, err := listing.ParseJob([]byte(goodJob[:len(goodJob)-1] + `,"of_a_newer_county":{"x":1}}`))
	if err != nil || j.DistanceKM != 2.5 || j.ID != "J-1" {
		t.Fatalf("%+v %v", j, err)
	}
	if o := j.Option(); o != (catalog.Code{Code: "J-1", Label: "工", Note: "示例社 · 3000 元/月"}) {
		t.Errorf("%+v", o)
	}
	for old, broken := range map[string]string{`"id":"J-1"`: `"id":"../x"`, `"title":"工"`: `"title":" "`, `"employer":"示例社"`: `"employer":"a\u0000b"`,
		`"pay_max":3500`: `"pay_max":2000`, `"pay_min":3000`: `"pay_min":-1`, `"distance_km":2.5`: `"distance_km":-1`, `"region":"140830100"`: `"region":"14083"`,
		`"kind":"5-01"`: `"kind":""`, `"valid_until":"2027-01-31"`: `"valid_until":"2027-02-30"`, `"place":"古魏镇"`: `"place":7`,
		`"pay":"3000 元/月"`: `"pay":"` + strings.Repeat("长", 61) + `"`} {
		bad := strings.Replace(goodJob, old, broken, 1)
		if v, err := listing.ParseJob([]byte(bad)); bad == goodJob || !errors.Is(err, listing.ErrObject) || v.ID != "" {
			t.Errorf("%s: %v", broken, err)
		}
	}
	for what, parse := range map[string]func([]byte) error{
		`{"id":"a","title":"x","type":"1","org":"o","place":"p","start":"2027-02-02","end":"2027-02-01"}`: func(b []byte) error { _, err := listing.ParseCourse(b); return err },
		`{"id":"a","title":"x","place":"p","start":"2027-02-02"}`:                                         func(b []byte) error { _, err := listing.ParseEvent(b); return err },
		`{"id":"a","title":"x","type":"1","place":"p","region":"140830","pay":""}`:                        func(b []byte) error { _, err := listing.ParsePost(b); return err },
		`{"id":"a","title":"x","topic":"1","who":"w"}`:                                                    func(b []byte) error { _, err := listing.ParsePolicy(b); return err },
		`{"id":"a","title":"x","date":"2027-01-01"}`:                                                      func(b []byte) error { _, err := listing.ParseNotice(b); return err },
	} {
		if err := parse([]byte(what)); !errors.Is(err, listing.ErrObject) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestOpen(t *testing.T) {
	last := time.Date(2027, 1, 31, 23, 59, 0, 0, time.UTC)
	h := listing.Head{ValidUntil: "2027-01-31"}
	if !h.Open(last) || h.Open(last.Add(time.Minute)) || !(listing.Head{}).Open(last) {
		t.Error("the last day")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(goodJob))
	for _, name := range []string{"jobs.json", "courses.json", "events.json", "posts.json", "policies.json", "notices.json"} {
		f.Add([]byte(samples(f, name)[0]))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if j, err := listing.ParseJob(data); err == nil && (j.ID == "" || j.Option().Label == "") {
			t.Fatalf("%+v", j)
		}
		if c, err := listing.ParseCourse(data); err == nil && c.Option().Note == "" {
			t.Fatalf("%+v", c)
		}
		if e, err := listing.ParseEvent(data); err == nil && e.Option().Note == "" {
			t.Fatalf("%+v", e)
		}
		_, _ = listing.ParsePost(data)
		_, _ = listing.ParsePolicy(data)
		if n, err := listing.ParseNotice(data); err == nil && n.Text == "" {
			t.Fatalf("%+v", n)
		}
	})
}

func TestOptionsOfEveryEndpoint(t *testing.T) {
	cat, err := catalog.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	today := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	files := map[string]string{"job": "jobs.json", "course": "courses.json", "event": "events.json", "post": "posts.json"}
	n := 0
	for _, s := range cat.Services {
		for _, f := range s.Fields {
			if f.Type != catalog.BackendSelect || f.Rules.Endpoint == "job_registration" { // a person's own
				continue
			}
			n++
			kind, ok := listing.KindFor(f.Rules.Endpoint)
			if !ok || len(listing.Options(kind, samples(t, files[kind]), today)) < 4 {
				t.Errorf("%s/%s: nothing to choose", s.ID, f.Name)
			}
			if late := listing.Options(kind, samples(t, files[kind]), today.AddDate(9, 0, 0)); len(late) != 0 {
				t.Errorf("%s: %d are open years after their end", kind, len(late))
			}
		}
	}
	if n != 4 {
		t.Errorf("%d endpoints", n)
	}
	if got := listing.Options("job", []json.RawMessage{[]byte(`{"id":"x"}`), []byte(goodJob)}, today); len(got) != 1 {
		t.Errorf("an unusable object spoils the list: %v", got)
	}
	if _, ok := listing.KindFor("job_registration"); ok {
		t.Error("a person's own registrations are public")
	}
}
