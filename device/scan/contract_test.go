package scan_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"cunban/device"
	"cunban/device/contract"
	"cunban/device/scan"
)

func TestDeviceContract(t *testing.T) {
	t.Run("folder", func(t *testing.T) {
		contract.TestDevice(t, "cunban/device/scan", func(t *testing.T) device.Device {
			return scan.NewFolder(scan.FolderOptions{Dir: t.TempDir()})
		})
	})
	t.Run("sane", func(t *testing.T) {
		if _, err := exec.LookPath("scanimage"); err != nil && os.Getenv("CUNBAN_CI") != "1" {
			t.Skip("scanimage is not installed")
		}
		contract.TestDevice(t, "cunban/device/scan", func(t *testing.T) device.Device {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "dll.conf"), []byte("test\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			return scan.NewSANE(scan.SANEOptions{ConfigDir: dir})
		})
	})
	t.Run("no scanner", func(t *testing.T) {
		contract.TestDevice(t, "cunban/device/scan", func(*testing.T) device.Device {
			return scan.NewSANE(scan.SANEOptions{Program: "scanimage-that-nobody-has"})
		})
	})
}
