package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// videoLimit is how long the guest with the camera may run; it takes a third
// of it on an idle machine of two cores.
const videoLimit = 3 * time.Minute

// videoModules is one simulated camera, which gives nothing but pictures.
var videoModules = []string{"vivid n_devs=1 node_types=0x1 num_inputs=1 input_types=0"}

// videoScript runs the camera's test program in the guest, after a control: it
// must not find a camera that is unplugged.
const videoScript = `
export CUNBAN_VIVID=1
cd /sys/bus/platform/drivers/vivid
echo vivid.0 >unbind
echo control
/bin/camera.test -test.run '^TestVivid$/^found$'
echo vivid.0 >bind
echo test
/bin/camera.test -test.v -test.run '^TestVivid$' -test.timeout 0
`

// testVideo runs the driver of document cameras against the kernel's simulated
// camera, vivid, in a guest: its contract, and everything that vivid can be
// made to do wrong.
func testVideo(ctx context.Context, root string) (err error) {
	k, err := debianKernel(ctx)
	if err != nil {
		return fmt.Errorf("bring a kernel for the guest: %w", err)
	}
	run := filepath.Join(root, ".run")
	if err := os.MkdirAll(run, 0o700); err != nil {
		return fmt.Errorf("make a folder for the guest: %w", err)
	}
	dir, err := os.MkdirTemp(run, "video-")
	if err != nil {
		return fmt.Errorf("make a folder for the guest: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	name := filepath.Join(dir, "camera.test")
	if err := show(ctx, root, []string{"CGO_ENABLED=1"}, "go", "test", "-c", "-o", name, "-tags", "netgo,osusergo",
		"-ldflags", "-s -w -linkmode external -extldflags -static", "./device/scan/camera"); err != nil {
		return fmt.Errorf("build the guest's program: %w", err)
	}
	program, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("read the guest's program: %w", err)
	}
	g := guest{Kernel: k, Modules: videoModules, Files: map[string][]byte{"bin/camera.test": program}, Run: videoScript}
	limit, cancel := context.WithTimeout(ctx, videoLimit)
	defer cancel()
	r, err := g.boot(limit, dir)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(limit, r.kill)
	defer stop()
	var said []string
	for line, ok := r.line(); ok; line, ok = r.line() {
		fmt.Println("video:", line)
		said = append(said, line)
	}
	r.end()
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := judgeVideo(said); err != nil {
		return fmt.Errorf("%w; its console\n%s", err, r.trouble())
	}
	return nil
}

// judgeVideo tells from what the guest said whether the control failed and the
// test passed, without skipping anything.
func judgeVideo(said []string) error {
	at, from := slices.Index(said, "test"), slices.Index(said, "control")
	if from < 0 || at < from {
		return errors.New("the guest ended before the test began")
	}
	control, test := said[from:at], said[at:]
	skipped := func(s string) bool { return strings.Contains(s, "--- SKIP") }
	switch {
	case !slices.Contains(control, "FAIL"):
		return errors.New("the control found a camera that is unplugged: this proves nothing")
	case slices.ContainsFunc(test, skipped):
		return errors.New("a part of the test was skipped")
	case !slices.Contains(test, "PASS"):
		return errors.New("the test failed in the guest, or never came to its end")
	}
	return nil
}
