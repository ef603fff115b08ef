//go:build unix

package paper

import (
	"os/exec"
	"syscall"
)

// ownGroup puts a command into a process group of its own, so that killGroup
// reaches everything that it starts.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// killGroup kills a started command and its group; being gone is no error.
func killGroup(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
