package form_test

import (
	"slices"
	"strings"
	"testing"

	"cunban/kiosk/form"
	"cunban/kiosk/resident"
)

// TestPINAtThePad: one page for old and new PIN, nothing of them in the form,
// and no problem left once the pad changed it.
func TestPINAtThePad(t *testing.T) {
	cat := embedded(t)
	ctx := home(t, resident.FromSocialCard)
	ctx.Devices = all()
	f := form.New(cat.Service("C03"), cat, ctx, false)
	f.Set("mode", form.Value{Text: "1"})
	keys := func() (out []string) {
		for _, s := range f.Steps() {
			if strings.Contains(s.Key(), "pin") {
				out = append(out, s.Key())
			}
		}
		return out
	}
	if got := keys(); !slices.Equal(got, []string{"old_pin"}) {
		t.Errorf("pages of PINs: %v", got)
	}
	problems := func() (n int) {
		for _, p := range f.StepProblems() {
			if strings.Contains(p.Field, "pin") {
				n++
			}
		}
		return n
	}
	if problems() != 3 {
		t.Errorf("before: %v", f.StepProblems())
	}
	f.PINChanged()
	if problems() != 0 {
		t.Errorf("after: %v", f.StepProblems())
	}
	if v := f.Get("new_pin"); v.Text != "" || v.Pages != 1 {
		t.Errorf("kept of the PIN: %+v", v)
	}
	if s := f.TextOf("old_pin"); !strings.Contains(s, "密码键盘") {
		t.Errorf("the review says %q", s)
	}
	b, err := f.JSON()
	if err != nil || strings.Contains(string(b), "_pin") {
		t.Errorf("%s %v", b, err)
	}
	f.Set("mode", form.Value{Text: "2"})
	if got := keys(); len(got) > 0 {
		t.Errorf("a reset asks for %v", got)
	}
}
