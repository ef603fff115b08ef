package resident

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// numbers are made-up, with right check digits.
var numbers = []string{"140830195603120024", "142723194809051237", "140830198707144518", "140830199301080125"}

func TestParseIDNumber(t *testing.T) {
	for _, s := range numbers {
		n, err := ParseIDNumber(" " + strings.ToLower(s) + " ")
		if err != nil || n.Reveal() != s {
			t.Errorf("%s: %v", s, err)
		}
		for d := byte('0'); d <= '9'; d++ { // any other last digit is wrong
			if d == s[17] {
				continue
			}
			if _, err := ParseIDNumber(s[:17] + string(d)); !errors.Is(err, ErrCheckDigit) {
				t.Errorf("%s%c: %v", s[:17], d, err)
			}
		}
	}
	for s, want := range map[string]error{"": ErrLength, "14083019560312002": ErrLength, "1408301956031200244": ErrLength,
		"14083019560312002A": ErrCharacters, "1408301956O3120024": ErrCharacters, "140830200102290010": ErrDate,
		"140830195613120024": ErrDate, "140830195603120020": ErrCheckDigit, "１４０８３０": ErrCharacters} {
		if _, err := ParseIDNumber(s); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", s, err, want)
		}
	}
}

func TestWhatANumberTells(t *testing.T) {
	n, err := ParseIDNumber("140830195603120024")
	if err != nil {
		t.Fatal(err)
	}
	if n.Sex() != "2" || n.BirthDate() != time.Date(1956, 3, 12, 0, 0, 0, 0, time.UTC) {
		t.Errorf("%s %s", n.Sex(), n.BirthDate())
	}
	for day, want := range map[string]int{"2026-03-11": 69, "2026-03-12": 70, "2026-03-13": 70, "2026-02-28": 69, "2026-12-01": 70} {
		d, err := time.Parse("2006-01-02", day)
		if err != nil || n.AgeOn(d) != want {
			t.Errorf("%s: %d, want %d", day, n.AgeOn(d), want)
		}
	}
	m, err := ParseIDNumber("142723194809051237")
	if err != nil || m.Sex() != "1" {
		t.Errorf("%s %v", m.Sex(), err)
	}
	again, err := ParseIDNumber("142723194809051237")
	if err != nil || again != m || n == m {
		t.Error("numbers do not compare")
	}
	var zero IDNumber
	if !zero.IsZero() || zero.Sex() != "" || !zero.BirthDate().IsZero() || zero.String() != "" || zero.Reveal() != "" || n.IsZero() {
		t.Error("the zero value is a number")
	}
	if (Claim{}).SamePerson(Claim{}) || !(Claim{Number: n}).SamePerson(Claim{Number: n}) || (Claim{Number: n}).SamePerson(Claim{Number: m}) {
		t.Error("SamePerson")
	}
}

func TestMask(t *testing.T) {
	n, err := ParseIDNumber("140830195603120024")
	if err != nil {
		t.Fatal(err)
	}
	if n.String() != "1408**********0024" {
		t.Error(n.String())
	}
	for in, want := range map[string]string{"张示例": "张**", "张": "张*", "": "", "𠮷例": "𠮷*", " 示例·热合曼 ": "示*****"} {
		if got := NewName(in).String(); got != want {
			t.Errorf("%q → %q, want %q", in, got, want)
		}
	}
}

// verbs are all that fmt knows, and one that it does not.
var verbs = []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%e", "%c", "%U", "%b", "%40s", "%-40v", "%T%v", "%!"}

// hiding puts a claim where fmt calls no methods.
type hiding struct {
	number IDNumber
	name   Name
}

// TestNothingPrintsTheClearValue prints numbers, names and claims in every way
// that a careless line could: the part that is masked never shows.
func TestNothingPrintsTheClearValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		clear := rapid.SampledFrom(numbers).Draw(t, "number")
		n, err := ParseIDNumber(clear)
		if err != nil {
			t.Fatal(err)
		}
		given := rapid.StringOfN(rapid.RuneFrom([]rune("示例热合曼王李赵·𠮷磑")), 2, 6, -1).Draw(t, "given name")
		name := NewName("张" + given)
		c := Claim{Source: FromIDCard, Number: n, Name: name, NameExact: true, Address: "太安村3组12号" + given, CardNumber: "A12345678",
			CardIdentifier: "140800D156000005", BirthDate: clear[6:14], Verification: Unverified}
		secrets := []string{clear[4:14], given, "太安村", "A12345678", "D156000005",
			fmt.Sprintf("%x", clear[4:14]), fmt.Sprintf("%X", given), fmt.Sprintf("%q", given)}
		var out bytes.Buffer
		values := []any{n, &n, name, &name, c, &c, []IDNumber{n}, map[string]Name{"x": name}, []Claim{c}, struct{ N IDNumber }{n},
			hiding{n, name}, &hiding{n, name}, fmt.Errorf("read %v of %v", n, name)}
		for _, v := range values {
			for _, verb := range verbs {
				if strings.HasPrefix(verb, "%T") {
					fmt.Fprintf(&out, verb, v, v)
				} else {
					fmt.Fprintf(&out, verb, v)
				}
			}
			fmt.Fprintln(&out, v)
			if b, err := json.Marshal(v); err == nil {
				out.Write(b)
			}
		}
		for _, v := range []any{n, name, hiding{n, name}, &hiding{n, name}} {
			fmt.Fprintf(&out, "%p", v) // fmt calls no methods for it
		}
		for _, h := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
			l := slog.New(h)
			l.Info("m", "number", n, "name", name, "claim", c, "pointer", &c, "list", []Claim{c}, "hiding", hiding{n, name})
			l.With("n", n).WithGroup("g").Info(fmt.Sprint(n, name, c))
		}
		for _, s := range secrets {
			if strings.Contains(out.String(), s) {
				at := strings.Index(out.String(), s)
				t.Fatalf("%q shows: …%s…", s, out.String()[max(0, at-60):min(out.Len(), at+60)])
			}
		}
		if !strings.Contains(out.String(), n.String()) || !strings.Contains(out.String(), name.String()) {
			t.Fatal("nothing was printed at all")
		}
	})
}

func TestJSONIsJSON(t *testing.T) {
	for _, s := range []string{"\a例", "\U000e0001例", `"例`, "<例", "\xff例", "张\n"} {
		b, err := json.Marshal(struct{ N Name }{NewName(s)})
		if err != nil || !json.Valid(b) {
			t.Errorf("%q: %s %v", s, b, err)
		}
	}
}

func TestWidthIsKept(t *testing.T) {
	n, err := ParseIDNumber(numbers[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"%30s", "%-30s", "%30v", "%-30v", "%+30v"} {
		if got := fmt.Sprintf(f, n); utf8.RuneCountInString(got) != 30 {
			t.Errorf("%s gives %q", f, got)
		}
	}
	if got := fmt.Sprintf("%#v", n); got != "resident.IDNumber(1408**********0024)" {
		t.Error(got)
	}
}

// FuzzParseIDNumber: what parses is 18 characters that read back the same, and
// never prints clear.
func FuzzParseIDNumber(f *testing.F) {
	for _, s := range append(numbers, "140830200102290010", "", "\x00", "１４０８３０１９５６０３１２００２４") {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseIDNumber(s)
		if err != nil {
			if !n.IsZero() {
				t.Fatal("an error with a number")
			}
			return
		}
		again, err := ParseIDNumber(n.Reveal())
		if err != nil || again != n || len(n.Reveal()) != 18 || strings.Contains(fmt.Sprintf("%v%d", n, n), n.Reveal()[4:14]) {
			t.Fatalf("%q: %v", s, err)
		}
	})
}
