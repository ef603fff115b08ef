package form

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"cunban/kiosk/resident"
)

// nameOK tells whether s can be a Chinese name: 2 to 30 Han characters, with
// "·" between parts (尼格买提·热合曼).
func nameOK(s string) bool {
	if n := utf8.RuneCountInString(s); n < 2 || n > 30 {
		return false
	}
	for part := range strings.SplitSeq(s, "·") {
		if part == "" {
			return false
		}
		for _, r := range part {
			if !unicode.Is(unicode.Han, r) && r != '〇' {
				return false
			}
		}
	}
	return true
}

// creditChars are the 31 characters of GB 32100-2015, in their order.
const creditChars = "0123456789ABCDEFGHJKLMNPQRTUWXY"

// creditCheck computes the check character of the first 17 characters of a
// unified social credit code, or false when one of them cannot be there.
func creditCheck(s string) (byte, bool) {
	if len(s) < 17 {
		return 0, false
	}
	sum, weight := 0, 1
	for i := range 17 {
		v := strings.IndexByte(creditChars, s[i])
		if v < 0 {
			return 0, false
		}
		sum += v * weight
		weight = weight * 3 % 31
	}
	return creditChars[(31-sum%31)%31], true
}

// creditOK checks a unified social credit code (GB 32100-2015).
func creditOK(s string) bool {
	if len(s) != 18 {
		return false
	}
	c, ok := creditCheck(s)
	return ok && c == s[17]
}

// luhnOK checks the check digit of a bank card number (ISO/IEC 7812-1).
func luhnOK(s string) bool {
	sum := 0
	for i := range len(s) {
		d := int(s[len(s)-1-i]) - '0'
		if d < 0 || d > 9 {
			return false
		}
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return len(s) > 1 && sum%10 == 0
}

// weakPIN tells whether a PIN is one of those that a thief tries first: one or
// two different digits, a run, the same three twice, a part of the person's
// birthday or ID number.
func weakPIN(pin string, n resident.IDNumber) bool {
	digits := map[rune]bool{}
	for _, r := range pin {
		digits[r] = true
	}
	if len(digits) <= 2 {
		return true
	}
	up, down := true, true
	for i := 1; i < len(pin); i++ {
		up = up && (pin[i]-pin[i-1]+10)%10 == 1
		down = down && (pin[i-1]-pin[i]+10)%10 == 1
	}
	if up || down || len(pin) == 6 && pin[:3] == pin[3:] {
		return true
	}
	if n.IsZero() {
		return false
	}
	b := n.BirthDate()
	for _, layout := range []string{"060102", "020106", "010206", "200601"} {
		if pin == b.Format(layout) {
			return true
		}
	}
	return strings.Contains(n.Reveal(), pin)
}

// workday is the working day without a calendar: Monday to Friday.
func workday(d time.Time) bool { return d.Weekday() != time.Saturday && d.Weekday() != time.Sunday }
