package app

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cunban/kiosk/app/config"
	"cunban/sync/upstream"
)

// TestPINPadOfAMaker runs the makers' sample driver below the whole app: a PIN
// is changed and a wrong one is said in words; a board that is simulated closes
// a terminal that is enrolled for real.
func TestPINPadOfAMaker(t *testing.T) {
	driver := filepath.Join(t.TempDir(), "sample")
	if out, err := exec.Command("go", "build", "-o", driver, "cunban/device/vendor/sample").CombinedOutput(); err != nil {
		t.Fatalf("build the sample: %v\n%s", err, out)
	}
	with := func(person string) func(*Options) {
		return func(o *Options) {
			o.Config.Devices.Vendor = []config.Vendor{{Name: "键盘", Command: driver, Args: []string{"--pad", person}}}
		}
	}
	t.Run("changed", func(t *testing.T) {
		h := newHouse(t, with("ok"))
		h.await("the pad", func() bool { return h.Have().PINPad })
		var said []string
		if err := h.ChangePIN(t.Context(), func(w string) { said = append(said, w) }); err != nil {
			t.Fatal(err)
		}
		for _, w := range []string{"原密码，已输 6 位", "请输新密码，已输 6 位", "请再输一遍新密码，已输 6 位"} {
			if !slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, w) }) {
				t.Errorf("never said %q: %q", w, said)
			}
		}
		if p := h.Point(); !p.Demo || p.Closed != "" {
			t.Errorf("a terminal for demonstrations: %+v", p)
		}
	})
	t.Run("enrolled for real", func(t *testing.T) {
		c := startCounty(t)
		o := options(t, t.TempDir(), "https://"+c.addr)
		with("ok")(&o)
		x := boot(t, o)
		code, _, err := c.EnrolCode(t.Context(), upstream.NewTerminal{Serial: x.o.Config.Serial, Region: "140830100008",
			Village: "东关社区"}, "test")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := x.Enrol(t.Context(), code.String(), func(string) {}); err != nil {
			t.Fatal(err)
		}
		x.await("a closed terminal", func() bool { return strings.Contains(x.Point().Closed, "模拟设备") })
	})
	t.Run("wrong", func(t *testing.T) {
		h := newHouse(t, with("wrong_pin"))
		h.await("the pad", func() bool { return h.Have().PINPad })
		words(t, h.ChangePIN(t.Context(), func(string) {}), "VD-21", "原密码不对")
	})
	t.Run("no pad", func(t *testing.T) {
		h := newHouse(t)
		if h.Have().PINPad {
			t.Error("a pad out of nothing")
		}
		words(t, h.ChangePIN(t.Context(), func(string) {}), "VD-20", "密码键盘没有接好")
	})
}
