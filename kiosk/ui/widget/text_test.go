package widget

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"fyne.io/fyne/v2/test"
	"pgregory.net/rapid"

	"cunban/kiosk/ui/theme"
)

// advance makes Chinese characters 2 wide and Latin ones 1.
func advance(r rune) float32 {
	if r < 0x2E80 {
		return 1
	}
	return 2
}

func TestBreak(t *testing.T) {
	for _, c := range []struct {
		text  string
		width float32
		want  []string
	}{
		{"请插入社保卡", 100, []string{"请插入社保卡"}},
		{"请插入社保卡", 6, []string{"请插入", "社保卡"}},
		{"请插卡，然后等", 6, []string{"请插", "卡，然", "后等"}},                   // no mark begins a line
		{"点“查进度”看", 4, []string{"点", "“查", "进", "度”", "看"}},           // no quote ends one
		{"编号RC-0012好", 8, []string{"编号", "RC-0012", "好"}},             // a number stays whole
		{"12345678901234", 4, []string{"1234", "5678", "9012", "34"}}, // unless it is longer than a line
		{"缴费 12 月开始", 7, []string{"缴费", "12 月开", "始"}},                // nor is it parted from its unit
		{"从11月26日", 6, []string{"从", "11月26", "日"}},
		{"三百元/月", 8, []string{"三百", "元/月"}},
		{"", 10, []string{""}},
	} {
		if got := breakLine([]rune(c.text), c.width, advance); !slices.Equal(got, c.want) {
			t.Errorf("%q at %v: %q, want %q", c.text, c.width, got, c.want)
		}
	}
}

// TestBreakKeeps: whatever the text and the width, nothing but spaces is lost,
// and no line is wider than allowed unless it is one character.
func TestBreakKeeps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOfN(rapid.RuneFrom([]rune("中文字，。“”（）ab1-9 /月日元")), 0, 60, -1).Draw(t, "text")
		width := rapid.Float32Range(0, 40).Draw(t, "width")
		lines := breakLine([]rune(text), width, advance)
		squeeze := func(s string) string { return strings.ReplaceAll(s, " ", "") }
		if got := squeeze(strings.Join(lines, "")); got != squeeze(text) {
			t.Fatalf("%q became %q", text, lines)
		}
		for _, l := range lines {
			w := float32(0)
			for _, r := range l {
				w += advance(r)
			}
			if w > width+0.5 && utf8.RuneCountInString(l) > 1 {
				t.Fatalf("line %q is wider than %v", l, width)
			}
		}
	})
}

func look(t testing.TB) *theme.Look {
	test.NewTempApp(t)
	return theme.NewLook(theme.Day, theme.Standard, 1920, 1080, theme.Screen{}, nil)
}

func TestTextBalance(t *testing.T) {
	l := look(t)
	x := NewText(l, "个人权益记录单打印")
	// One character too narrow: not eight and one, but even halves.
	lines := x.broken(l.Body() * 8.2)
	if len(lines) != 2 || utf8.RuneCountInString(lines[1]) < 3 {
		t.Errorf("lines %q", lines)
	}
	// Each paragraph by itself.
	x = NewText(l, "第一段\n个人权益记录单打印")
	if lines := x.broken(l.Body() * 8.2); len(lines) != 3 || utf8.RuneCountInString(lines[2]) < 3 {
		t.Errorf("lines %q", lines)
	}
	x = NewText(l, "结果出来后，插卡点“查办理进度”就能看到。")
	if lines := x.broken(l.Body() * 18); len(lines) != 2 || lines[0] != "结果出来后，" {
		t.Errorf("lines %q", lines)
	}
}

func TestTextLimit(t *testing.T) {
	l := look(t)
	lines := NewText(l, strings.Repeat("字", 30)).Limit(2).broken(l.Body() * 10.1)
	if len(lines) != 2 || !strings.HasSuffix(lines[1], "…") {
		t.Errorf("lines %q", lines)
	}
}
