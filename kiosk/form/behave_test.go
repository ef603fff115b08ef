package form_test

import (
	"slices"
	"strings"
	"testing"

	"cunban/kiosk/catalog"
	"cunban/kiosk/divisions"
	"cunban/kiosk/form"
	"cunban/kiosk/resident"
)

func names(s form.Step) []string {
	var out []string
	for _, f := range s.Fields {
		out = append(out, f.Name)
	}
	return out
}

func keys(steps []form.Step) []string {
	var out []string
	for _, s := range steps {
		out = append(out, s.Key())
	}
	return out
}

func home(t testing.TB, src resident.Source) form.Context {
	t.Helper()
	d, err := divisions.Embedded("140830100204")
	if err != nil {
		t.Fatal(err)
	}
	return form.Context{Today: today, Region: "140830100204", Claim: zhang(t, src), Devices: all(), Divisions: d}
}

// TestWhatAFarmerIsAsked pins the pages of the two services that the plan
// names first, for somebody of 70 with either card.
func TestWhatAFarmerIsAsked(t *testing.T) {
	cat := embedded(t)
	for _, c := range []struct {
		svc  string
		src  resident.Source
		want string
	}{
		{"S01", resident.FromSocialCard, "known other_pension special_group pay_grade aae008 aae010 aac067 aac009 aab301 aae006 hkb_scan"},
		{"S01", resident.FromIDCard, "known other_pension special_group pay_grade aae008 aae010 aac067 aac009 aae006 hkb_scan"},
		{"J01", resident.FromSocialCard, "known job_category work_area salary employ_form acc_status aac011 aac033 more aac067 aac009 aab301 aae006 sms_ok"},
		{"J01", resident.FromIDCard, "known job_category work_area salary employ_form acc_status aac011 aac033 more aac067 aac009 aae006 sms_ok"},
	} {
		f := form.New(cat.Service(c.svc), cat, home(t, c.src), false)
		if got := strings.Join(keys(f.Steps()), " "); got != c.want {
			t.Errorf("%s with %s:\n got %s\nwant %s", c.svc, c.src, got, c.want)
		}
		for _, s := range f.Steps() {
			if s.Title == "" || s.Blocked != "" || strings.Contains(s.Title+s.Sub, "aa") {
				t.Errorf("%s %s: %q %q %q", c.svc, s.Key(), s.Title, s.Sub, s.Blocked)
			}
		}
	}
}

func TestTheYoungAreAskedWhetherTheyStudy(t *testing.T) {
	cat := embedded(t)
	ctx := home(t, resident.FromSocialCard)
	n, err := resident.ParseIDNumber("140830199301080125")
	if err != nil {
		t.Fatal(err)
	}
	ctx.Today = ctx.Today.AddDate(-8, 0, 0) // 25 years old
	ctx.Claim.Number = n
	f := form.New(cat.Service("S01"), cat, ctx, false)
	if !slices.Contains(keys(f.Steps()), "is_student") {
		t.Error("somebody of 25 is not asked")
	}
	f.Set("is_student", form.Value{Text: "1"})
	if p := f.Check("is_student"); p == nil || p.Warn || !strings.Contains(p.Text, "毕业") {
		t.Errorf("%+v", p)
	}
}

func TestCardFillsAndLocks(t *testing.T) {
	cat := embedded(t)
	f := form.New(cat.Service("S01"), cat, home(t, resident.FromIDCard), false)
	for name, want := range map[string]string{"aac003": "张示例", "aac002": "140830195603120024", "aac004": "2", "aac005": "01",
		"aac006": "1956-03-12", "aac010": "山西省芮城县古魏镇太安村3组12号", "aae009": "张示例", "aab301": "140830100204",
		"join_date": "2026-11-25", "aae006": "山西省芮城县古魏镇太安村3组12号", "post_code": "044600", "is_student": "2"} {
		if got := f.Get(name).Text; got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	f.Set("aac003", form.Value{Text: "别人"})
	f.Set("aae009", form.Value{Text: "别人"})
	if f.Get("aac003").Text != "张示例" || f.Get("aae009").Text != "张示例" || f.Editable("aac003") {
		t.Error("what the card says can be changed")
	}
	f.Set("aac010", form.Value{Text: "太安村4组"})
	if f.Get("aac010").Text != "太安村4组" || !f.Editable("aac010") {
		t.Error("the registered address cannot be changed")
	}
	if got := f.SourceOf("aac003"); got != "来自身份证" {
		t.Errorf("source %q", got)
	}
}

func TestWhatTheCardDoesNotSayIsAsked(t *testing.T) {
	cat := embedded(t)
	ctx := home(t, resident.FromSocialCard)
	ctx.Claim.Ethnic, ctx.Claim.NameExact = "", false
	f := form.New(cat.Service("S01"), cat, ctx, false)
	got := keys(f.Steps())
	if !slices.Contains(got, "aac005") || !slices.Contains(got, "aac003") {
		t.Fatalf("not asked: %v", got)
	}
	f.Set("aac003", form.Value{Text: "张示例"})
	if f.Get("aae009").Text != "张示例" {
		t.Error("the account holder does not follow the name")
	}
	f.Set("aac003", form.Value{Text: "李示例"})
	if f.Get("aae009").Text != "李示例" || !f.Editable("aac003") || slices.Contains(keys(f.Steps()), "aae009") {
		t.Error("the account holder does not follow the name")
	}
}

func TestOrderOfSources(t *testing.T) {
	cat := embedded(t)
	ctx := home(t, resident.FromSocialCard)
	ctx.Backend = map[string]string{"aac003": "县里的名字", "aab301": "140830101201", "aac005": "99999", "insurance": "110", "other_pension": "1"}
	f := form.New(cat.Service("S01"), cat, ctx, false)
	if f.Get("aac003").Text != "张示例" {
		t.Error("upstream overrules the card")
	}
	if v := f.Get("aab301"); v.Text != "140830101201" || v.Source != catalog.FromBackend {
		t.Errorf("the default overrules upstream: %+v", v)
	}
	if p := f.Check("other_pension"); p == nil || !p.Warn {
		t.Errorf("what upstream knows is not judged: %+v", p)
	}
	g := form.New(cat.Service("S07"), cat, ctx, false)
	if g.Get("insurance").Text != "110" {
		t.Error("the default overrules upstream")
	}
	g.Set("insurance", form.Value{Text: "210"})
	g.Update(func(c *form.Context) { c.Backend["insurance"] = "410" })
	if g.Get("insurance").Text != "210" {
		t.Error("upstream overrules the person")
	}
}

// TestARegisterNeverLocksSomebodyOut: what upstream filled and the rules do not
// allow is either open to be changed or only a warning.
func TestARegisterNeverLocksSomebodyOut(t *testing.T) {
	cat := embedded(t)
	ctx := home(t, resident.FromSocialCard)
	ctx.Backend = map[string]string{"ui_months": "5", "unemploy_date": "2027-01-01"}
	f := form.New(cat.Service("T04"), cat, ctx, false)
	if p := f.Check("ui_months"); p == nil || !p.Warn || !strings.Contains(p.Text, "县里") {
		t.Errorf("%+v", p)
	}
	f = form.New(cat.Service("J11"), cat, ctx, false)
	if !slices.Contains(keys(f.Steps()), "unemploy_date") || slices.Contains(names(f.Steps()[0]), "unemploy_date") {
		t.Errorf("a date that cannot be is not asked again: %v", keys(f.Steps()))
	}
	for i := range cat.Services {
		f := form.New(&cat.Services[i], cat, ctx, false)
		for _, s := range f.Steps() {
			if p := f.CheckStep(s); s.Kind == form.StepKnown && p != nil && !p.Warn {
				t.Errorf("%s: nobody can pass what is known: %+v", cat.Services[i].ID, p)
			}
		}
	}
}

// TestAnswersHaveOneForm: the same choices in any order, and the same number
// written in any way, give the same answer.
func TestAnswersHaveOneForm(t *testing.T) {
	cat := embedded(t)
	f := form.New(cat.Service("J01"), cat, home(t, resident.FromSocialCard), false)
	f.Set("work_area", form.Value{List: []string{"000000", "140830", "000000", "", "140830"}})
	if got := f.Get("work_area").List; !slices.Equal(got, []string{"140830", "000000"}) {
		t.Errorf("%v", got)
	}
	f.Set("aac067", form.Value{Text: " １３8 0000\t0000\n"})
	if got := f.Get("aac067").Text; got != "13800000000" {
		t.Errorf("%q", got)
	}
	f.Set("aae006", form.Value{Text: "太安村\u202e\x00 3\n组\xff "})
	if got := f.Get("aae006").Text; got != "太安村 3 组" {
		t.Errorf("%q", got)
	}
}

// TestUpstreamsAnswerSurvivesTheLine: a case loaded while the line is down keeps
// what upstream knew when it was filled.
func TestUpstreamsAnswerSurvivesTheLine(t *testing.T) {
	cat := embedded(t)
	ctx := home(t, resident.FromSocialCard)
	ctx.Backend = map[string]string{"aab301": "140830101201", "insurance": "110"}
	for _, id := range []string{"S01", "S07"} {
		b, err := form.New(cat.Service(id), cat, ctx, false).JSON()
		if err != nil {
			t.Fatal(err)
		}
		f, err := form.Load(cat.Service(id), cat, home(t, resident.FromSocialCard), b, nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range ctx.Backend {
			if f.Field(name) != nil && (f.Get(name).Text != want || f.Get(name).Source != catalog.FromBackend) {
				t.Errorf("%s: %s became %+v", id, name, f.Get(name))
			}
		}
	}
}

// TestVisibilityFollowsThroughTheForm: a question that hangs on an invisible one
// is invisible too, whatever the hidden answer says.
func TestVisibilityFollowsThroughTheForm(t *testing.T) {
	cat := embedded(t)
	f := form.New(cat.Service("S11"), cat, home(t, resident.FromSocialCard), false)
	for name, v := range map[string]string{"auth_method": "1", "consent_face": "1"} {
		f.Set(name, form.Value{Text: v})
	}
	face := f.Field("face_capture")
	if !f.Visible(face) || !f.RequiredNow(face) {
		t.Fatal("no face asked for")
	}
	f.Set("auth_method", form.Value{Text: "2"})
	if f.Visible(face) || f.Get("consent_face").Text != "1" {
		t.Error("a face is asked for though nobody wants to use it")
	}
}

// TestNothingNeedsAPhone submits every service by somebody who has none: only
// where a phone is the matter itself is it asked for.
func TestNothingNeedsAPhone(t *testing.T) {
	cat := embedded(t)
	for i := range cat.Services {
		svc := &cat.Services[i]
		f := form.New(svc, cat, home(t, resident.FromSocialCard), svc.AgentOK)
		if err := form.FillSample(f); err != nil {
			t.Fatal(err)
		}
		for _, fd := range append(slices.Clone(svc.Fields), cat.Agent...) {
			if fd.Type == catalog.Phone && fd.Rules.RequiredIf == "" {
				f.Set(fd.Name, form.Value{})
			}
		}
		for _, p := range f.Problems() {
			if !p.Warn {
				t.Errorf("%s stops: %+v", svc.ID, p)
			}
		}
	}
	f := form.New(cat.Service("S03"), cat, home(t, resident.FromSocialCard), false)
	f.Set("change_items", form.Value{List: []string{"aac067"}})
	if p := f.Check("new_phone"); p == nil || p.Warn {
		t.Errorf("a phone number is changed to nothing: %+v", p)
	}
}

func TestInvisibleAnswersAreKeptAndNotSubmitted(t *testing.T) {
	cat := embedded(t)
	f := form.New(cat.Service("J08"), cat, home(t, resident.FromSocialCard), false)
	fd := f.Field("disability_grade")
	if f.Visible(fd) {
		t.Fatal("asked before")
	}
	f.Set("aac033", form.Value{Text: "6"})
	if !f.Visible(fd) || !f.RequiredNow(fd) {
		t.Fatal("not asked")
	}
	f.Set("disability_grade", form.Value{Text: "2"})
	f.Set("aac033", form.Value{Text: "1"})
	if b, _ := f.JSON(); strings.Contains(string(b), "disability_grade") {
		t.Error("submitted")
	}
	f.Set("aac033", form.Value{Text: "6"})
	if f.Get("disability_grade").Text != "2" {
		t.Error("lost")
	}
}

func TestWithoutDevicesThereIsAnotherWay(t *testing.T) {
	cat := embedded(t)
	ctx := home(t, resident.FromIDCard)
	ctx.Devices = form.Devices{}
	f := form.New(cat.Service("S01"), cat, ctx, false)
	s, ok := f.StepFor("hkb_scan")
	if !ok || !strings.Contains(s.Blocked, "以后补交") || !s.Defer {
		t.Fatalf("%+v", s)
	}
	f.Set("hkb_scan", form.Value{Deferred: true})
	if p := f.CheckStep(s); p != nil || !slices.Contains(f.Outstanding(), "户口簿首页和本人页") {
		t.Errorf("%+v %v", p, f.Outstanding())
	}

	f = form.New(cat.Service("S11"), cat, ctx, false)
	s, _ = f.StepFor("auth_method")
	if slices.ContainsFunc(s.Options, func(c catalog.Code) bool { return c.Code == "1" || c.Code == "4" }) || len(s.Options) < 2 {
		t.Errorf("offered: %v", s.Options)
	}
	f.Set("auth_method", form.Value{Text: "2"})
	if !slices.Contains(f.Outstanding(), "工作人员人证核验结果") || slices.Contains(keys(f.Steps()), "staff_verify") {
		t.Errorf("a resident's form waits for staff: %v %v", f.Outstanding(), keys(f.Steps()))
	}
	f.Update(func(c *form.Context) { c.Role = form.RoleStaff })
	if !slices.Contains(keys(f.Steps()), "staff_verify") || f.Check("staff_verify") == nil {
		t.Error("staff are not asked")
	}
	f.Update(func(c *form.Context) { c.Backend = map[string]string{"auth_method": "4"} })
	s, _ = f.StepFor("auth_method")
	if !slices.ContainsFunc(s.Options, func(c catalog.Code) bool { return c.Code == "4" }) {
		t.Error("upstream's answer is not offered")
	}

	for _, id := range []string{"S04", "S10", "C02", "C03"} {
		f = form.New(cat.Service(id), cat, ctx, false)
		if got := keys(f.Steps()); slices.Contains(got, "consent_face") || slices.Contains(got, "face_capture") {
			t.Errorf("%s asks for a face without a camera", id)
		}
		f.Update(func(c *form.Context) { c.Devices.Face = true })
		if got := keys(f.Steps()); !slices.Contains(got, "consent_face") || slices.Contains(got, "face_capture") {
			t.Errorf("%s: consent comes before the face: %v", id, got)
		}
		f.Set("consent_face", form.Value{Text: "1"})
		if got := keys(f.Steps()); !slices.Contains(got, "face_capture") {
			t.Errorf("%s: no face after consent", id)
		}
	}

	svc, one := oneService(t, field("x", "face", "")+","+field("p", "pin", "")+","+field("b", "backend_select", `,"validation":{"endpoint":"job"}`)+
		","+field("ph", "photo", ""), "")
	f = form.New(svc, one, form.Context{Today: today}, false)
	for key, want := range map[string]string{"x": "工作人员", "p": "重置", "b": "连不上县里", "ph": "以后补交"} {
		if s, ok := f.StepFor(key); !ok || !strings.Contains(s.Blocked, want) {
			t.Errorf("%s: %+v", key, s)
		}
	}
	if p := f.Check("x"); p != nil {
		t.Errorf("a face is demanded without a camera: %+v", p)
	}
	if p := f.Check("b"); p != nil {
		t.Errorf("a choice is demanded without a line: %+v", p)
	}
	if p := f.Check("p"); p == nil || p.Code != "blocked" {
		t.Errorf("%+v", p)
	}
}
