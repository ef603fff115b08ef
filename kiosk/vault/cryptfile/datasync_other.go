//go:build !linux

package cryptfile

import "os"

func datasync(f *os.File) error { return f.Sync() }
