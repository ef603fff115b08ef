// Package tpmtest starts a software TPM (swtpm, a Debian package) for tests of
// the key source tpm2. It exists because a TPM of the machine that runs the
// tests is never to be touched, and one in memory would not be a real one.
//
// It guarantees that each chip is a new one of its own and is gone after stop.
package tpmtest

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// ErrMissing means that swtpm is not installed.
var ErrMissing = errors.New("swtpm is not installed")

// Waiting for the chip to listen.
const (
	lookEvery = 10 * time.Millisecond
	startTime = 20 * time.Second
)

// Start makes a chip whose state is in dir, which must be there, and returns its
// Unix socket. The path of dir must be short: names of sockets have 107 bytes.
// stop may be called again. Errors: ErrMissing.
func Start(dir string) (socket string, stop func(), err error) {
	program, err := exec.LookPath("swtpm")
	if err != nil {
		return "", nil, fmt.Errorf("start a software TPM: %w", ErrMissing)
	}
	socket = filepath.Join(dir, "tpm")
	cmd := exec.Command(program, "socket", "--tpm2", "--tpmstate", "dir="+dir, "--server", "type=unixio,path="+socket,
		"--flags", "not-need-init,startup-clear")
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		return "", nil, fmt.Errorf("start a software TPM: %w", err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }() // ends with the process, which stop ends
	stop = func() {
		_ = cmd.Process.Kill() // it may have ended by itself
		<-ended
		_ = os.Remove(socket)
	}
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	limit := time.After(startTime)
	for {
		c, err := net.Dial("unix", socket)
		if err == nil {
			return socket, stop, c.Close()
		}
		select {
		case <-look.C:
		case <-ended:
			return "", nil, fmt.Errorf("the software TPM ended: %s", said.String())
		case <-limit:
			stop()
			return "", nil, fmt.Errorf("the software TPM does not listen: %w: %s", err, said.String())
		}
	}
}
