package speech

import (
	"strings"
	"unicode"
)

// Limits of what is spoken.
const (
	maxRunes  = 200 // of one sentence; longer ones are cut
	maxDigits = 4   // a longer run of digits belongs to a person and is left out
)

// Speakable makes a text fit to be read aloud in a room where others listen:
// a run of more than four digits (an ID number, a telephone number, also
// masked with stars or written in groups) is left out, control characters go,
// and what is longer than 200 characters is cut. "" means nothing is left.
func Speakable(text string) string {
	// First what cannot be heard, for it would hide that digits belong together.
	in := make([]rune, 0, len(text))
	for _, r := range text {
		switch {
		case unicode.IsSpace(r):
			r = ' '
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Co, r), unicode.Is(unicode.Mn, r), r == unicode.ReplacementChar:
			continue
		}
		if r != ' ' || len(in) > 0 && in[len(in)-1] != ' ' {
			in = append(in, r)
		}
	}
	var out []rune
	for i := 0; i < len(in); {
		if !digitLike(in[i]) {
			out = append(out, in[i])
			i++
			continue
		}
		n, end := 0, i
		for j := i; j < len(in) && (digitLike(in[j]) || separator(in[j])); j++ {
			if digitLike(in[j]) {
				n, end = n+1, j+1
			}
		}
		if n <= maxDigits {
			out = append(out, in[i:end]...)
		} else if end < len(in) && (in[end] == 'X' || in[end] == 'x') {
			end++ // the check character of an ID number
		}
		i = end
	}
	s := strings.TrimSpace(string(out[:min(len(out), maxRunes)]))
	if !strings.ContainsFunc(s, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) }) {
		return ""
	}
	return s
}

// digitLike are digits of any script, and the stars that mask them.
func digitLike(r rune) bool {
	return unicode.IsDigit(r) || r == '*' || r == '＊' || r == '•' || r == '●'
}

func separator(r rune) bool {
	return r == ' ' || r == '-' || r == '－' || r == '—' || r == '–' || r == '.' || r == '\u00a0' || r == '\u3000'
}
