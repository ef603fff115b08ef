package app

import (
	"errors"
	"strings"
	"testing"
	"unicode"

	"cunban/kiosk/ui"
)

// words checks that an error has a code and plain words for people: what
// happened, what to do, no English, no doubled stops.
func words(t testing.TB, err error, code, text string) {
	t.Helper()
	var tr *ui.Trouble
	if !errors.As(err, &tr) {
		t.Errorf("%v has no words", err)
		return
	}
	if tr.Code != code || !strings.Contains(tr.Text, text) {
		t.Errorf("said %s %q, want %s …%s…", tr.Code, tr.Text, code, text)
	}
	if tr.Remedy == "" || tr.Detail == "" || tr.Err == nil {
		t.Errorf("%s: remedy %q, detail %q, cause %v", code, tr.Remedy, tr.Detail, tr.Err)
	}
	for _, s := range []string{tr.Text, tr.Remedy} {
		s = strings.ReplaceAll(s, "A4", "")
		if strings.Contains(s, "。。") || strings.ContainsFunc(s, func(r rune) bool { return r < 128 && unicode.IsLetter(r) }) {
			t.Errorf("%s: not plain: %q", code, s)
		}
	}
}

// remedy is what an error tells people to do.
func remedy(err error) string {
	var tr *ui.Trouble
	if !errors.As(err, &tr) {
		return ""
	}
	return tr.Remedy
}
