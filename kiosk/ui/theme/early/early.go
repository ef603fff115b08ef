// Package early settles what Fyne reads from the environment before any of
// Fyne's own packages is initialised: the language of its few built-in words
// and the scale of the screen. It exists because Fyne decides both in package
// initialisation or at the first window, complains on the log about the
// locales C and C.UTF-8, and would then speak English to a farmer.
//
// It works by the order the Go specification gives to initialisation: packages
// are initialised in the order of their import paths as soon as what they
// import is ready, so that "cunban/…" with nothing but os beneath it comes
// before "fyne.io/…". It guarantees that Fyne is Chinese whatever LANG says,
// that one Fyne unit is one pixel, and that programs started from here
// (scanimage, lp) keep answering in the plain C locale that their output is
// parsed in.
package early

import "os"

// Environment is what is set at start.
var environment = [...][2]string{
	// C.UTF-8 and not C: with C, LANGUAGE would be ignored by Fyne's look-up;
	// and no translated output of helper programs, which glibc rules out here.
	{"LC_ALL", "C.UTF-8"},
	{"LANGUAGE", "zh_CN"},
	// Sizes come from millimetres (theme.Look), so nothing may scale them again.
	{"FYNE_SCALE", "1"},
}

func init() {
	for _, e := range environment {
		// Setenv fails only on names or values with NUL or "=", which these
		// constants have not.
		_ = os.Setenv(e[0], e[1])
	}
}
