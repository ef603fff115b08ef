package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// Key is one key source. Which options it takes depends on its kind.
type Key struct {
	Kind string `yaml:"kind"` // one of KeyKinds
	// Path is the key file (file), the folder where the stick is mounted (usb), the
	// helper program (exec), or the file of the sealed key (tpm2).
	Path string `yaml:"path"`
	// Name is the name of the credential (systemd), or of the key file on the stick
	// (usb; "" = cunban.key).
	Name string `yaml:"name"`
	// Device is the security chip (tpm2): a device file or the socket of a software
	// TPM; "" = /dev/tpmrm0.
	Device string `yaml:"device"`
}

// Where keys lie in the data folder, when the file does not say.
const (
	defaultKeyFile = "disk.key"
	defaultSealed  = "disk.tpm2"
)

// keyKind is what a kind needs and what else it takes.
type keyKind struct {
	kind      string
	need, may []string
}

// keyKinds is in the order of their strength.
var keyKinds = []keyKind{
	{kind: "tpm2", may: []string{"path", "device"}},
	{kind: "systemd", need: []string{"name"}},
	{kind: "usb", need: []string{"path"}, may: []string{"name"}},
	{kind: "exec", need: []string{"path"}},
	{kind: "file", may: []string{"path"}},
}

// KeyKinds are the kinds of key source.
func KeyKinds() []string {
	out := make([]string, len(keyKinds))
	for i, k := range keyKinds {
		out[i] = k.kind
	}
	return out
}

// checkKeys finds kinds that do not exist, and options that a kind does not take
// or lacks.
func (c Config) checkKeys(bad func(path, text, allowed string)) {
	if len(c.Keys) == 0 {
		bad("$.keys", "no key source", strings.Join(KeyKinds(), ", "))
	}
	for i, k := range c.Keys {
		at := fmt.Sprintf("$.keys[%d].", i)
		n := slices.IndexFunc(keyKinds, func(x keyKind) bool { return x.kind == k.Kind })
		if n < 0 {
			bad(at+"kind", fmt.Sprintf("key source %q", k.Kind), strings.Join(KeyKinds(), ", "))
			continue
		}
		kind := keyKinds[n]
		allowed := strings.Join(slices.Concat([]string{"kind"}, kind.need, kind.may), ", ")
		for _, o := range []struct{ name, value string }{{"path", k.Path}, {"name", k.Name}, {"device", k.Device}} {
			needed := slices.Contains(kind.need, o.name)
			switch {
			case needed && o.value == "":
				bad(at+"kind", fmt.Sprintf("key source %s needs %s", k.Kind, o.name), allowed)
			case o.value != "" && !needed && !slices.Contains(kind.may, o.name):
				bad(at+o.name, fmt.Sprintf("key source %s takes no %s", k.Kind, o.name), allowed)
			}
		}
		if k.Device != "" && !filepath.IsAbs(k.Device) {
			bad(at+"device", fmt.Sprintf("device %q", k.Device), "an absolute path, such as /dev/tpmrm0")
		}
	}
}

// keyPaths fills in the usual places and makes paths absolute.
func (c Config) keyPaths(dir string) {
	for i := range c.Keys {
		k := &c.Keys[i]
		switch {
		case k.Path != "" && !filepath.IsAbs(k.Path):
			k.Path = filepath.Join(dir, k.Path)
		case k.Path != "":
		case k.Kind == "file":
			k.Path = filepath.Join(c.Data, defaultKeyFile)
		case k.Kind == "tpm2":
			k.Path = filepath.Join(c.Data, defaultSealed)
		}
	}
}
