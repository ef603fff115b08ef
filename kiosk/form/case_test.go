package form_test

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"cunban/kiosk/form"
	"cunban/kiosk/resident"
)

func TestPINsAreNeverStored(t *testing.T) {
	cat := embedded(t)
	f := form.New(cat.Service("C03"), cat, home(t, resident.FromSocialCard), false)
	f.Set("mode", form.Value{Text: "1"})
	for _, n := range []string{"old_pin", "new_pin", "new_pin2"} {
		f.Set(n, form.Value{Text: "739415"})
	}
	b, err := f.JSON()
	if err != nil || strings.Contains(string(b), "739415") {
		t.Errorf("%s %v", b, err)
	}
	for _, l := range f.Summary() {
		if strings.Contains(l.Text, "7394") {
			t.Error("a PIN is shown")
		}
	}
}

func TestConsentsAndSignature(t *testing.T) {
	cat := embedded(t)
	f := form.New(cat.Service("S10"), cat, home(t, resident.FromSocialCard), false)
	if c := f.NoticeConsent(); c == nil || c.Name != "consent_notice" {
		t.Errorf("%v", c)
	}
	var got []string
	for _, c := range f.Consents() {
		got = append(got, c.Name)
	}
	if !slices.Equal(got, []string{"promise", "consent_pi"}) {
		t.Errorf("consents %v", got)
	}
	if s := f.SignatureField(); s == nil || s.Name != "signature" {
		t.Errorf("signature %v", s)
	}
	if err := form.FillSample(f); err != nil {
		t.Fatal(err)
	}
	f.Set("signature", form.Value{})
	f.Set("promise", form.Value{Text: "0"})
	if len(f.StepProblems()) != 0 || len(f.Problems()) != 2 {
		t.Errorf("%v %v", f.StepProblems(), f.Problems())
	}
}

func TestAgentBlock(t *testing.T) {
	cat := embedded(t)
	ctx := home(t, resident.FromSocialCard)
	f := form.New(cat.Service("S01"), cat, ctx, true)
	if got := keys(f.Steps()); !slices.Equal(got[:5], []string{"known", "agent_name", "agent_idno", "agent_relation", "agent_phone"}) {
		t.Errorf("%v", got)
	}
	n, err := resident.ParseIDNumber("140830198707144518")
	if err != nil {
		t.Fatal(err)
	}
	f.Update(func(c *form.Context) {
		c.Agent = resident.Claim{Source: resident.FromIDCard, Number: n, Name: resident.NewName("李示例"), NameExact: true}
	})
	if f.Get("agent_name").Text != "李示例" || f.Get("agent_idno").Text != "140830198707144518" || f.SourceOf("agent_name") != "来自身份证" {
		t.Error("the agent's card is not used")
	}
	g0 := form.New(cat.Service("S01"), cat, ctx, true)
	g0.Set("agent_idno", form.Value{Text: "140830195603120024"})
	if p := g0.Check("agent_idno"); p == nil || p.Warn {
		t.Error("somebody is her own agent")
	}
	if !slices.Contains(names(f.Steps()[0]), "agent_name") {
		t.Error("the agent's name is not among what is known")
	}
	b, err := f.JSON()
	if err != nil {
		t.Fatal(err)
	}
	g, err := form.Load(cat.Service("S01"), cat, ctx, b, nil)
	if err != nil || !g.Agent() {
		t.Errorf("%v", err)
	}
}

func TestReturnedCaseOpensAtWhatIsToBeMended(t *testing.T) {
	cat := embedded(t)
	ctx := home(t, resident.FromIDCard)
	f := form.New(cat.Service("S01"), cat, ctx, false)
	if err := form.FillSample(f); err != nil {
		t.Fatal(err)
	}
	b, err := f.JSON()
	if err != nil {
		t.Fatal(err)
	}
	g, err := form.Load(cat.Service("S01"), cat, ctx, b, []string{"aac003", "hkb_scan"})
	if err != nil {
		t.Fatal(err)
	}
	if got := keys(g.MendSteps()); !slices.Equal(got, []string{"aac003", "hkb_scan"}) {
		t.Errorf("%v", got)
	}
	if s := g.MendSteps()[0]; s.Mend == "" || !g.Editable("aac003") {
		t.Error("what is to be mended is locked")
	}
	g.Set("aac003", form.Value{Text: "张再例"})
	if g.Get("aac003").Text != "张再例" || g.Get("aae009").Text != "张再例" {
		t.Error("not mended")
	}
	if !slices.Contains(keys(g.Steps()), "pay_grade") || g.Get("pay_grade").Text == "" {
		t.Error("the rest is gone")
	}
	if _, ok := g.StepFor("pay_grade"); !ok {
		t.Error("the rest cannot be changed")
	}
}

func TestMaterialsWithoutAField(t *testing.T) {
	cat := embedded(t)
	f := form.New(cat.Service("S01"), cat, home(t, resident.FromIDCard), false)
	key := form.MaterialKey("特殊群体证明")
	if slices.Contains(keys(f.Steps()), key) {
		t.Error("asked of everybody")
	}
	f.Set("special_group", form.Value{Text: "04"})
	s, ok := f.StepFor(key)
	if !ok || s.Kind != form.StepMaterial || s.Material == nil || !s.Skip {
		t.Fatalf("%+v", s)
	}
	f.Set(key, form.Value{Pages: 2})
	b, _ := f.JSON()
	if !strings.Contains(string(b), `"materials":{"特殊群体证明":{"pages":2,"src":"device"}}`) {
		t.Errorf("%s", b)
	}
	if f.TextOf(key) != "已拍 2 页" {
		t.Error(f.TextOf(key))
	}
	f.Set("special_group", form.Value{Text: "00"})
	if b, _ := f.JSON(); strings.Contains(string(b), "特殊群体证明") {
		t.Error("submitted though nobody asks for it")
	}
	g := form.New(cat.Service("S10"), cat, home(t, resident.FromIDCard), false)
	hk := form.MaterialKey("户口簿首页和本人页")
	if p := g.Check(hk); p == nil || p.Code != "required" {
		t.Errorf("%+v", p)
	}
	g.Set(hk, form.Value{Deferred: true})
	if g.Check(hk) != nil || !slices.Contains(g.Outstanding(), "户口簿首页和本人页") {
		t.Error("cannot be brought later")
	}
}

func TestReviewInPlainWords(t *testing.T) {
	cat := embedded(t)
	f := form.New(cat.Service("S01"), cat, home(t, resident.FromIDCard), false)
	for k, v := range map[string]string{"pay_grade": "500", "other_pension": "1", "aae010": "6217000000000000003", "aac067": "13800000000"} {
		f.Set(k, form.Value{Text: v})
	}
	f.Set("hkb_scan", form.Value{Pages: 2})
	text := map[string]string{}
	warn := map[string]string{}
	for _, l := range f.Summary() {
		text[l.Field], warn[l.Field] = l.Text, l.Warn
	}
	for k, want := range map[string]string{"aac006": "1956年3月12日", "pay_grade": "500 元（政府补 60 元）", "other_pension": "有",
		"aab301": "山西省运城市芮城县古魏镇太安村", "aae010": "6217 0000 0000 0000 003", "hkb_scan": "已拍 2 页", "aac009": "还没填"} {
		if text[k] != want {
			t.Errorf("%s: %q, want %q", k, text[k], want)
		}
	}
	if warn["other_pension"] == "" || warn["aac009"] == "" || warn["pay_grade"] != "" {
		t.Errorf("warnings %v", warn)
	}
	if _, shown := text["consent_pi"]; shown {
		t.Error("consents have their own page")
	}

	g := form.New(cat.Service("J15"), cat, home(t, resident.FromIDCard), false)
	g.Set("loan_amount", form.Value{Text: "10"})
	g.Set("loan_term", form.Value{Text: "12"})
	if g.TextOf("loan_amount") != "10 万元" || g.TextOf("loan_term") != "12 个月" {
		t.Error(g.TextOf("loan_amount"), g.TextOf("loan_term"))
	}
	h := form.New(cat.Service("S10"), cat, home(t, resident.FromIDCard), false)
	if !slices.ContainsFunc(h.Summary(), func(l form.Line) bool { return l.Field == "pay_years" && l.Text == "由县里查" && !l.Editable }) {
		t.Error("what the county knows is not said")
	}
}

func TestWipe(t *testing.T) {
	cat := embedded(t)
	f := form.New(cat.Service("J11"), cat, home(t, resident.FromIDCard), false)
	if err := form.FillSample(f); err != nil {
		t.Fatal(err)
	}
	f.Wipe()
	for _, fd := range cat.Service("J11").Fields {
		if !f.Get(fd.Name).IsZero() {
			t.Errorf("%s is still there", fd.Name)
		}
	}
	b, err := f.JSON()
	if err != nil || string(b) != `{"fields":{},"materials":{}}` {
		t.Errorf("%s %v", b, err)
	}
}

func TestLoadRefuses(t *testing.T) {
	cat := embedded(t)
	for _, s := range []string{"", "{", "[]", `{"fields":{"aac067":{"v":["x"]}}}`, `{"fields":{"aac067":{"v":"1","src":"moon"}}}`,
		`{"fields":{"job_category":{"v":"x"}}}`, `{"fields":[]}`, strings.Repeat(" ", 1<<20) + "{}"} {
		if _, err := form.Load(cat.Service("J01"), cat, home(t, resident.FromIDCard), []byte(s), nil); err == nil {
			t.Errorf("%.60q loads", s)
		}
	}
	f, err := form.Load(cat.Service("J01"), cat, home(t, resident.FromIDCard), []byte(`{"fields":{"of_another_version":{"v":"x"}}}`), nil)
	if err != nil || f.Get("aac003").Text == "" {
		t.Errorf("%v", err)
	}
}

func TestNothingLogsAnAnswer(t *testing.T) {
	cat := embedded(t)
	f := form.New(cat.Service("S01"), cat, home(t, resident.FromIDCard), false)
	if err := form.FillSample(f); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	slog.New(slog.NewTextHandler(&out, nil)).Info("m", "form", f, "value", f.Get("aac002"), "phone", f.Get("aac067"))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d"} {
		fmt.Fprintf(&out, verb, f)
	}
	for _, secret := range []string{"1956", "张示例", "13800000000", "太安"} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("%q is logged", secret)
		}
	}
	if !strings.Contains(out.String(), "S01") {
		t.Error("nothing is logged")
	}
}
