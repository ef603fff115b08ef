package upstream

import "strconv"

// cursor writes a place in the stream of changes.
func cursor(seq int64) string { return strconv.FormatInt(seq, 10) }

// parseCursor reads it; "" is the beginning.
func parseCursor(s string) (int64, bool) {
	if s == "" {
		return 0, true
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && n >= 0
}
