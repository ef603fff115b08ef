package screen

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cunban/device"
	"cunban/kiosk/form"
	"cunban/kiosk/ui"
	"cunban/kiosk/ui/uitest"
)

// TestDeviceStatesAreTheDrivers: the words that pages are drawn with are those
// of the drivers, letter for letter.
func TestDeviceStatesAreTheDrivers(t *testing.T) {
	var source strings.Builder
	err := filepath.WalkDir("../../../device", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		source.Write(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	said := func(words string) bool {
		return strings.Contains(source.String(), `"`+strings.TrimSuffix(words, "请告诉工作人员；办件不受影响，回执可以以后补打。"))
	}
	kinds := map[device.Kind]map[device.State]bool{}
	for _, h := range uitest.DeviceStates() {
		if !said(h.Cause) || !said(h.Remedy) || !said(h.Code) {
			t.Errorf("%s %s: no driver says %q, %q", h.Kind, h.Code, h.Cause, h.Remedy)
		}
		if kinds[h.Kind] == nil {
			kinds[h.Kind] = map[device.State]bool{}
		}
		kinds[h.Kind][h.State] = true
	}
	if said("没有一个驱动会这样说。") {
		t.Error("any words are found: this proves nothing")
	}
	for _, k := range []device.Kind{device.KindCardReader, device.KindIDReader, device.KindScanner, device.KindDocCamera, device.KindPagePrinter, device.KindReceiptPrint} {
		for _, s := range []device.State{device.StateReady, device.StateAbsent, device.StateFault} {
			if !kinds[k][s] {
				t.Errorf("no picture of %s %s", k, s)
			}
		}
	}
}

// tourDevices shows each state of each device on the technician's page, and what a resident sees when a service needs what is missing.
func (st *stage) tourDevices() {
	states := uitest.DeviceStates()
	st.on(func() { st.b.DevicesV = nil })
	st.tap("staff")
	st.until("staff-door")
	st.signIn("door.tech", "tech-home")
	turn := map[device.Kind]int{}
	var groups [][]device.Health // each with one state of every kind
	for _, h := range states {
		n := turn[h.Kind]
		turn[h.Kind]++
		if n == len(groups) {
			groups = append(groups, nil)
		}
		groups[n] = append(groups[n], h)
	}
	for i, g := range groups {
		st.showDevices(fmt.Sprintf("tech-states-%d", i+1), g)
	}
	st.on(func() { st.b.SignOut() })
	st.until("home")
	good, err := uitest.New()
	if err != nil {
		st.t.Fatal(err)
	}
	st.on(func() { st.b.DevicesV = good.DevicesV })
	st.insert()
	st.open("S01")
	st.toMaterial()
	for _, h := range states {
		if h.Kind != device.KindScanner && h.Kind != device.KindDocCamera || h.State == device.StateReady {
			continue
		}
		st.on(func() {
			name := "扫描仪"
			if h.Kind == device.KindDocCamera {
				name = "高拍仪"
			}
			st.b.SourcesV = []ui.Source{{Kind: h.Kind, Name: name, Health: h}}
			d := st.s.Visit().Draft
			d.Form.Update(func(c *form.Context) { c.Devices = st.b.Have() })
			for k := range d.Shots {
				delete(d.Shots, k)
			}
		})
		st.tap("back")
		st.settled()
		st.tap("next")
		s := st.settled()
		for _, x := range s.Texts {
			if strings.Contains(x, "。。") {
				st.t.Errorf("%s: %q", h.Code, x)
			}
		}
		if h.State == device.StateAbsent && !slices.ContainsFunc(s.Texts, func(x string) bool { return strings.Contains(x, "以后补交") }) {
			st.t.Errorf("%s: nothing says what still works: %v", h.Code, s.Texts)
		}
		st.shoot(fmt.Sprintf("resident-%s", h.Code))
	}
}

// showDevices shows the technician's page with these devices.
func (st *stage) showDevices(name string, group []device.Health) {
	st.t.Helper()
	st.on(func() { st.b.DevicesV = group })
	st.tap("devices")
	st.until("tech-devices")
	st.shoot(name)
	for has(st.settled(), "devices.next") {
		st.tap("devices.next")
		st.shoot(name + "-more")
	}
	st.tap("back")
	st.until("tech-home")
}
