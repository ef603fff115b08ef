package control

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
)

func TestCall(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ctx := t.Context()
	stop, err := Serve(ctx, path, func(_ context.Context, r Request) (any, error) {
		switch r.Do {
		case "echo":
			return r.Args, nil
		case "panic":
			panic("oh")
		}
		return nil, errors.New("unknown question")
	})
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]int
	if err := Call(ctx, path, "echo", map[string]int{"a": 1}, &out); err != nil || out["a"] != 1 {
		t.Fatalf("%v %v", out, err)
	}
	if err := Call(ctx, path, "nonsense", nil, nil); err == nil || !strings.Contains(err.Error(), "unknown question") {
		t.Fatalf("%v", err)
	}
	if err := Call(ctx, path, "panic", nil, nil); err == nil {
		t.Fatal("a handler's panic was an answer")
	}
	if err := Call(ctx, path, "echo", map[string]int{"a": 2}, &out); err != nil {
		t.Fatalf("after a panic: %v", err)
	}
	if _, err := Serve(ctx, path, nil); err == nil {
		t.Fatal("two programs at one socket")
	}
	stop()
	if err := Call(ctx, path, "echo", nil, nil); !errors.Is(err, ErrNotRunning) {
		t.Fatalf("after the end: %v", err)
	}
}

func TestSocketOfAKilledProgram(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	stop, err := Serve(t.Context(), path, func(context.Context, Request) (any, error) { return 1, nil })
	if err != nil {
		t.Fatal(err)
	}
	stop()
}
