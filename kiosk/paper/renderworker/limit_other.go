//go:build !linux

package renderworker

// Other systems have no limits of this kind; the parent's timeout remains.

func limit() error    { return nil }
func moreTime() error { return nil }
