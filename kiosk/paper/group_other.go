//go:build !unix

package paper

import "os/exec"

// Without process groups only the command itself is reached.

func ownGroup(*exec.Cmd)      {}
func killGroup(cmd *exec.Cmd) { _ = cmd.Process.Kill() }
