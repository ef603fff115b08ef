package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"cunban/assets"
	"cunban/kiosk/cases"
	"cunban/sync/upstream"
	"cunban/sync/upstream/sample"
)

// Defaults of serve.
const (
	defaultListen = "127.0.0.1:8443"
	defaultAdmin  = "127.0.0.1:8444"
	demoProcess   = 20 * time.Second // demo cases begin to be processed after acceptance
	demoFinish    = 60 * time.Second // and are finished
)

// calendarFile under the data folder holds the days that the State Council
// moves: {"off": ["2027-02-08"], "on": ["2027-02-14"]}.
const calendarFile = "calendar.json"

// settingsFile under the data folder is handed to every terminal as it is.
const settingsFile = "settings.json"

// open makes the county over a data folder. Close the store when done.
func open(ctx context.Context, c *common, autoApprove bool, log *slog.Logger) (*upstream.County, upstream.Store, error) {
	if err := os.MkdirAll(c.data, 0o700); err != nil {
		return nil, nil, fmt.Errorf("make the data folder: %w", err)
	}
	keys, err := upstream.OpenKeys(c.data, rand.Reader, time.Now())
	if err != nil {
		return nil, nil, err
	}
	cal, err := calendar(filepath.Join(c.data, calendarFile))
	if err != nil {
		return nil, nil, err
	}
	settings, err := optional(filepath.Join(c.data, settingsFile))
	if err != nil {
		return nil, nil, err
	}
	store, err := upstream.OpenStore(ctx, c.data, c.store)
	if err != nil {
		return nil, nil, err
	}
	county, err := upstream.New(upstream.Options{Dir: c.data, Store: store, Keys: keys, Register: sample.New(time.Now, nil),
		Calendar: cal, Logger: log, AutoApprove: autoApprove, Settings: settings})
	if err != nil {
		return nil, nil, errors.Join(err, store.Close())
	}
	return county, store, nil
}

// with runs fn over an open county.
func with(ctx context.Context, c *common, fn func(*upstream.County) error) error {
	county, store, err := open(ctx, c, false, nil)
	if err != nil {
		return err
	}
	return errors.Join(fn(county), store.Close())
}

// optional reads a JSON file that may be missing.
func optional(path string) (json.RawMessage, error) {
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", filepath.Base(path), err)
	case !json.Valid(b):
		return nil, fmt.Errorf("read %s: not JSON", filepath.Base(path))
	}
	return b, nil
}

func calendar(path string) (cases.Calendar, error) {
	b, err := optional(path)
	if err != nil || b == nil {
		return cases.Calendar{}, err
	}
	var f struct{ Off, On []string }
	if err := json.Unmarshal(b, &f); err != nil {
		return cases.Calendar{}, fmt.Errorf("read %s: %w", calendarFile, err)
	}
	days := func(list []string) (map[string]bool, error) {
		m := map[string]bool{}
		for _, d := range list {
			if _, err := time.Parse(time.DateOnly, d); err != nil {
				return nil, fmt.Errorf("read %s: %q is not a day like 2027-02-08", calendarFile, d)
			}
			m[d] = true
		}
		return m, nil
	}
	var c cases.Calendar
	if c.Off, err = days(f.Off); err != nil {
		return c, err
	}
	c.On, err = days(f.On)
	return c, err
}

func serve(ctx context.Context, a *app, args []string) error {
	fset, c := a.flags("serve")
	listen := fset.String("listen", defaultListen, "host:port for terminals")
	page := fset.String("admin", defaultAdmin, "host:port of the staff page, on the loopback; \"\" = none")
	auto := fset.Bool("auto-approve", false, "enrol every terminal with a right code without asking a person")
	demo := fset.Bool("demo", false, "move demo cases on by themselves")
	process := fset.Duration("demo-process", demoProcess, "with --demo: from acceptance to processing")
	finish := fset.Duration("demo-finish", demoFinish, "with --demo: from acceptance to the end")
	verbose := fset.Bool("verbose", false, "log every request")
	var hosts list
	fset.Var(&hosts, "host", "further name or address for the server's certificate; may be repeated")
	if _, err := parse(fset, c, args, 0); err != nil {
		return err
	}
	level := slog.LevelInfo
	if *verbose {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: level}))
	county, store, err := open(ctx, c, *auto, log)
	if err != nil {
		return err
	}
	number, password, err := county.Bootstrap(ctx)
	if err != nil {
		return errors.Join(err, store.Close())
	}
	if password != "" {
		fmt.Fprintf(a.out, "县级页面账号 %s 密码 %s（只显示这一次）\n", number, password)
	}
	var office upstream.BackOffice = upstream.People{}
	if *demo {
		office = upstream.DemoOffice{County: county, Process: *process, Finish: *finish}
	}
	err = county.Run(ctx, upstream.RunOptions{Listen: *listen, Admin: *page, Hosts: hosts, Office: office,
		Ready: func(r upstream.Running) {
			fmt.Fprintf(a.out, "listening https://%s\n", r.Listen)
			if r.Admin != "" {
				fmt.Fprintf(a.out, "staff page http://%s/\n", r.Admin)
			}
		}})
	return errors.Join(err, store.Close())
}

func loadSamples(ctx context.Context, a *app, args []string) error {
	fset, c := a.flags("load-samples")
	if _, err := parse(fset, c, args, 0); err != nil {
		return err
	}
	return with(ctx, c, func(county *upstream.County) error {
		counts, err := county.LoadSamples(ctx, assets.Samples())
		if err != nil {
			return err
		}
		if c.json {
			return a.json(counts)
		}
		for k, n := range counts {
			fmt.Fprintf(a.out, "%s %d\n", k, n)
		}
		return nil
	})
}
