package form_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"cunban/kiosk/catalog"
	"cunban/kiosk/form"
	"cunban/kiosk/resident"
)

var today = time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)

func embedded(t testing.TB) *catalog.Catalogue {
	t.Helper()
	c, err := catalog.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// zhang is a made-up farmer of 70; the number is one of the test numbers.
func zhang(t testing.TB, src resident.Source) resident.Claim {
	t.Helper()
	n, err := resident.ParseIDNumber("140830195603120024")
	if err != nil {
		t.Fatal(err)
	}
	c := resident.Claim{Source: src, Number: n, Name: resident.NewName("张示例"), NameExact: true, Sex: "2", Ethnic: "1",
		BirthDate: "19560312", ReadAt: today}
	switch src {
	case resident.FromSocialCard:
		c.CardNumber = "A12345678"
	case resident.FromIDCard:
		c.Address = "山西省芮城县古魏镇太安村3组12号"
	case resident.FromTyped:
	}
	return c
}

func all() form.Devices { return form.Devices{Scan: true, Camera: true, Face: true, PINPad: true} }

func online() map[string][]catalog.Code {
	o := []catalog.Code{{Code: "r1", Label: "第一个"}, {Code: "r2", Label: "第二个"}}
	return map[string][]catalog.Code{"job": o, "job_registration": o, "job_fair": o, "public_post": o, "training_class": o}
}

func contexts(t testing.TB) map[string]form.Context {
	base := form.Context{Today: today, Region: "140830100204", Claim: zhang(t, resident.FromSocialCard)}
	full, bare, offline := base, base, base
	full.Devices, full.Options = all(), online()
	full.Backend = map[string]string{"pay_years": "16", "ui_months": "30", "cur_grade": "300", "aac067": "13800000000"}
	full.Claim = zhang(t, resident.FromIDCard)
	bare.Options = online()
	offline.Devices = all()
	nothing := form.Context{Today: today, Role: form.RoleStaff}
	return map[string]form.Context{"everything": full, "no devices": bare, "offline": offline, "staff, nothing known": nothing}
}

func TestEveryServiceCanBeFilledEverywhere(t *testing.T) {
	cat := embedded(t)
	if len(cat.Services) != 40 {
		t.Fatalf("%d services", len(cat.Services))
	}
	for name, ctx := range contexts(t) {
		for i := range cat.Services {
			svc := &cat.Services[i]
			for _, agent := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/agent=%v", name, svc.ID, agent), func(t *testing.T) {
					f := form.New(svc, cat, ctx, agent)
					if agent && !svc.AgentOK {
						if p := f.Problems(); len(p) == 0 || p[0].Code != "agent" {
							t.Fatalf("an agent is not refused: %v", p)
						}
						return
					}
					if svc.Kind == catalog.Apply && len(f.Steps()) == 0 {
						t.Fatal("no steps")
					}
					if err := form.FillSample(f); err != nil {
						t.Fatal(err)
					}
					for _, s := range f.Steps() {
						if p := f.CheckStep(s); p != nil {
							t.Errorf("step %s: %+v", s.Key(), *p)
						}
					}
					roundTrip(t, svc, cat, ctx, f)
					if len(f.Summary()) == 0 && svc.Kind == catalog.Apply {
						t.Error("nothing to review")
					}
				})
			}
		}
	}
}

// roundTrip checks that JSON → Load → JSON gives the same bytes.
func roundTrip(t interface{ Fatalf(string, ...any) }, svc *catalog.Service, cat *catalog.Catalogue, ctx form.Context, f *form.Form) {
	one, err := f.JSON()
	if err != nil {
		t.Fatalf("%v", err)
	}
	g, err := form.Load(svc, cat, ctx, one, nil)
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	two, err := g.JSON()
	if err != nil {
		t.Fatalf("%v", err)
	}
	if !bytes.Equal(one, two) {
		t.Fatalf("JSON changed:\n%s\n%s", one, two)
	}
}
