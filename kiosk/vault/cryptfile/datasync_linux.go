package cryptfile

import (
	"os"

	"golang.org/x/sys/unix"
)

// datasync is fdatasync(2): data, and of the metadata what is needed to find
// it again (the length), which is all that the vault needs.
func datasync(f *os.File) error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if err != unix.EINTR {
			return err
		}
	}
}
