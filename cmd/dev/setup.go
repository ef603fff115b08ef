package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// debs is one purpose and the Debian packages it needs.
type debs struct {
	purpose string
	names   []string
}

// What each job needs. gcc and the -dev packages are for cgo: Fyne, PC/SC,
// librime, zinnia.
var (
	debsBuild = debs{"to build", []string{"gcc", "g++", "pkg-config", "libgl1-mesa-dev", "xorg-dev", "libwayland-dev", "libxkbcommon-dev",
		"libxxf86vm-dev", "libpcsclite-dev", "librime-dev", "libzinnia-dev"}}
	debsRun = debs{"for devices, speech and Chinese typing", []string{"pcscd", "vsmartcard-vpcd", "sane-utils", "libsane1", "espeak-ng",
		"rime-data-pinyin-simp", "tegaki-zinnia-simplified-chinese", "libgl1-mesa-dri"}}
	debsHeadless = debs{"to play a visit without a display", []string{"xvfb", "xauth", "xdotool", "imagemagick", "x11-utils", "poppler-utils"}}
	debsTest     = debs{"for tests against real counterparts", []string{"cups-ipp-utils", "dbus", "opensc", "postgresql", "openssl", "zbar-tools", "gdb", "swtpm",
		"vsmartcard-vpicc", "python3-pycryptodome", "python3-pyscard", "python3"}}
	debsPlug  = debs{"to pull the plug of a guest", []string{"qemu-system-x86", "busybox-static", "e2fsprogs", "xz-utils"}}
	debsBench = debs{"as rivals in figures, and to read pages", []string{"chromium", "tesseract-ocr", "tesseract-ocr-chi-sim", "unpaper"}}
)

// install brings in what is missing of the sets, after saying what and asking
// once; yes does not ask.
func install(ctx context.Context, yes bool, sets ...debs) error {
	if _, err := exec.LookPath("dpkg-query"); err != nil {
		fmt.Println("This is not Debian; these packages are expected to be here already:")
		for _, s := range sets {
			fmt.Printf("  %s: %s\n", s.purpose, strings.Join(s.names, " "))
		}
		return nil
	}
	var missing []string
	for _, s := range sets {
		var here []string
		for _, n := range s.names {
			if !installed(ctx, n) {
				here = append(here, n)
			}
		}
		if len(here) > 0 {
			fmt.Printf("missing %s: %s\n", s.purpose, strings.Join(here, " "))
			missing = append(missing, here...)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if !yes && os.Getenv("CI") == "" {
		fmt.Print("install them with apt-get? [Y/n] ")
		answer, err := bufio.NewReader(os.Stdin).ReadString('\n')
		if a := strings.ToLower(strings.TrimSpace(answer)); err != nil || (a != "" && a != "y" && a != "yes") {
			return errors.New("not installed: run again with --yes, or install them by hand")
		}
	}
	if err := apt(ctx, "update"); err != nil {
		return err
	}
	return apt(ctx, append([]string{"install", "--no-install-recommends"}, missing...)...)
}

func installed(ctx context.Context, name string) bool {
	out, err := exec.CommandContext(ctx, "dpkg-query", "-W", "-f", "${db:Status-Status}", name).Output()
	return err == nil && string(out) == "installed"
}

// apt runs apt-get as root, through sudo for others.
func apt(ctx context.Context, args ...string) error {
	args = append([]string{"-y", "-q"}, args...)
	name := "apt-get"
	if os.Geteuid() != 0 {
		name, args = "sudo", append([]string{"env", "DEBIAN_FRONTEND=noninteractive", "apt-get"}, args...)
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	cmd.Stdout, cmd.Stderr, cmd.Stdin = os.Stdout, os.Stderr, os.Stdin
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("apt-get: %w", err)
	}
	return nil
}
