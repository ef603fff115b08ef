//go:build unix

package keys

import (
	"errors"
	"os"
	"syscall"

	"github.com/google/go-tpm/tpm2/transport"
	"github.com/google/go-tpm/tpm2/transport/linuxtpm"
	"github.com/google/go-tpm/tpm2/transport/linuxudstpm"
)

// openTPM opens the kernel's device, or the socket of a software TPM (virtual
// machines, tests).
func openTPM(name string) (transport.TPMCloser, error) {
	st, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if st.Mode()&os.ModeSocket != 0 {
		return linuxudstpm.Open(name)
	}
	return linuxtpm.Open(name)
}

func isBusy(err error) bool { return errors.Is(err, syscall.EBUSY) }
