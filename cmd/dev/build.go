package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// programs are built for a run.
var programs = []string{"kiosk", "kioskctl", "upstream"}

// build makes the programs in root/.run/bin and returns that folder.
func build(ctx context.Context, root string, names ...string) (string, error) {
	bin := filepath.Join(root, ".run", "bin")
	if err := os.MkdirAll(bin, 0o700); err != nil {
		return "", fmt.Errorf("build: %w", err)
	}
	args := []string{"go", "build", "-ldflags", "-X main.version=" + version(ctx, root), "-o", bin + string(filepath.Separator)}
	for _, n := range names {
		args = append(args, "./cmd/"+n)
	}
	if err := show(ctx, root, nil, args...); err != nil {
		return "", err
	}
	return bin, nil
}

// version names what is built: the commit, marked when files differ from it.
func version(ctx context.Context, root string) string {
	out, err := output(ctx, nil, "git", "-C", root, "describe", "--always", "--dirty=-changed")
	if err != nil {
		return "dev"
	}
	return strings.TrimSpace(string(out))
}
