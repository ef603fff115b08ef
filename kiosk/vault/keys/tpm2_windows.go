package keys

import (
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2/transport"
	"github.com/google/go-tpm/tpm2/transport/windowstpm"
)

// openTPM opens the system's TPM (TBS); it has no name.
func openTPM(name string) (transport.TPMCloser, error) {
	if name != DefaultTPM {
		return nil, fmt.Errorf("TPM %s: %w", name, errors.ErrUnsupported)
	}
	return windowstpm.Open()
}

func isBusy(error) bool { return false }
