package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"unicode/utf8"
)

// Vendor is one maker's driver: a program that the terminal starts and speaks
// with (assets/manual/vendor-driver.md).
type Vendor struct {
	Name    string   `yaml:"name"`    // what the technician calls the device
	Command string   `yaml:"command"` // the program, an absolute path
	Args    []string `yaml:"args"`    // nothing secret: other programs can read them
}

// Bounds of the list.
const (
	maxVendors    = 8
	maxVendorName = 20 // characters
)

// checkVendors finds drivers that cannot be told apart or started.
func (c Config) checkVendors(bad func(path, text, allowed string)) {
	if n := len(c.Devices.Vendor); n > maxVendors {
		bad("$.devices.vendor", fmt.Sprintf("%d vendor drivers", n), fmt.Sprintf("%d at most", maxVendors))
	}
	var names []string
	for i, v := range c.Devices.Vendor {
		at := fmt.Sprintf("$.devices.vendor[%d].", i)
		switch {
		case v.Name == "":
			bad(at+"command", "vendor driver without name", "name, command, args")
		case utf8.RuneCountInString(v.Name) > maxVendorName:
			bad(at+"name", "vendor driver's name is too long", fmt.Sprintf("%d characters", maxVendorName))
		case slices.Contains(names, v.Name):
			bad(at+"name", fmt.Sprintf("two vendor drivers are called %q", v.Name), "each name once")
		}
		names = append(names, v.Name)
		if !filepath.IsAbs(v.Command) {
			bad(at+"command", fmt.Sprintf("command %q of a vendor driver", v.Command), "an absolute path, such as /opt/lamp/driver")
		}
	}
}
