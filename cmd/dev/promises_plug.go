package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// provePlug pulls the plug of a guest with a real kernel and a real file
// system.
func provePlug(ctx context.Context, e proofStage) ([]promise, error) {
	cuts := plugQuickCuts
	if e.long {
		cuts = plugLongCuts
	}
	p, err := newPlugRig(ctx, e.root)
	if err != nil {
		return nil, err
	}
	rep, err := p.pull(ctx, cuts)
	if err != nil {
		return nil, err
	}
	fmt.Printf("plug: %v\n", rep)
	row := promise{Name: "a pulled plug loses nothing that was said to be saved (Debian's kernel, ext4)", Target: fmt.Sprintf("0 of %d cuts", cuts),
		Measured: fmt.Sprintf("%d lost, %d promises looked at", len(rep.lost), rep.promises), Met: rep.kept(cuts)}
	if len(rep.lost) > 0 {
		row.Measured += ": " + rep.lost[0]
	}
	var said []string
	row.ControlFailed = true
	for _, c := range plugControls {
		lost, err := p.control(ctx, c)
		if err != nil {
			return nil, err
		}
		row.ControlFailed = row.ControlFailed && lost
		said = append(said, c.name)
	}
	row.Control = strings.Join(said, "; ")
	if row.Met {
		err = p.sweep()
	}
	return []promise{row}, err
}

// testPlug is the check of `dev test`: a few cuts, and the control that costs
// least.
func testPlug(ctx context.Context, root string) error {
	p, err := newPlugRig(ctx, root)
	if err != nil {
		return err
	}
	rep, err := p.pull(ctx, plugQuickCuts)
	if err != nil {
		return err
	}
	fmt.Printf("plug: %v\n", rep)
	if !rep.kept(plugQuickCuts) {
		return fmt.Errorf("a power cut lost what was said to be saved (files in %s):\n%s", p.dir, strings.Join(rep.lost, "\n"))
	}
	lost, err := p.control(ctx, plugControls[0])
	if err == nil && !lost {
		err = errors.New("the control lost nothing: this proves nothing")
	}
	if err != nil {
		return err
	}
	return p.sweep()
}

// plugControl is a way to do it that must lose.
type plugControl struct {
	name string
	sync string
	lies bool
}

var plugControls = []plugControl{
	{name: "synchronous=NORMAL, SQLite's usual setting", sync: "normal"},
	{name: "a disk that answers a flush without obeying", lies: true},
}

// control tells whether something was lost, as it must be.
func (p *plugRig) control(ctx context.Context, c plugControl) (lost bool, err error) {
	worse := *p
	worse.dir, worse.sync, worse.lies = filepath.Join(p.dir, "control"), c.sync, c.lies
	if err := os.MkdirAll(worse.dir, 0o700); err != nil {
		return false, fmt.Errorf("make a folder for guests: %w", err)
	}
	fmt.Printf("plug: control: %s\n", c.name)
	rep, err := worse.pull(ctx, plugControlCuts)
	if err != nil {
		return false, err
	}
	fmt.Printf("plug: control: %v\n", rep)
	return len(rep.lost) > 0, nil
}

// kept tells whether so many cuts were tried, something was looked at, and
// nothing was lost.
func (r plugReport) kept(cuts int) bool { return r.cuts == cuts && r.promises > 0 && len(r.lost) == 0 }
