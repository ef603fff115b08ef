package app

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"cunban/device"
	"cunban/kiosk/app/control"
	"cunban/kiosk/cases"
	"cunban/kiosk/oplog"
	"cunban/kiosk/seal"
	"cunban/kiosk/ui"
)

// TestDoor asks a running terminal everything that kioskctl may ask.
func TestDoor(t *testing.T) {
	h := newHouse(t)
	h.cable.cut()
	c := h.submit(h.filled("S01"))
	stop, err := h.openDoor()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	path := control.Path(h.cfg.Data)
	ask := func(do string, out any) {
		t.Helper()
		if err := control.Call(t.Context(), path, do, nil, out); err != nil {
			t.Errorf("%s: %v", do, err)
		}
	}
	var st ui.Status
	ask("status", &st)
	if !st.Enrolled || st.Counts.Waiting != 1 || st.Vault.Cases != 1 || st.Vault.KeySource != "file" || st.Vault.KeyWords == "" || st.Log.Size == 0 || st.CertUntil.IsZero() {
		t.Errorf("%+v", st)
	}
	var q QueueAnswer
	ask("queue", &q)
	if len(q.Items) != 1 || q.Items[0].CaseID != c.ID || q.Counts.Waiting != 1 {
		t.Errorf("%+v", q)
	}
	var d []device.Health
	ask("devices", &d)
	if len(d) != 1 || d[0].Kind != device.KindPageFolder {
		t.Errorf("%+v", d)
	}
	var list []cases.Case
	ask("cases", &list)
	if len(list) != 1 {
		t.Errorf("%d cases", len(list))
	}
	var k ui.LogCheck
	ask("log-verify", &k)
	if !k.OK || !strings.Contains(k.Words, "日志完整") {
		t.Errorf("%+v", k)
	}
	var x Exported
	ask("log-export", &x)
	text, err1 := os.ReadFile(x.Path)
	pem, err2 := os.ReadFile(x.Key)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	key, err := seal.ParsePublicKey(pem)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := oplog.VerifyExport(bytes.NewReader(text), oplog.Keys{Terminal: []*seal.PublicKey{key}}); err != nil || r.Records == 0 {
		t.Errorf("export: %+v %v", r, err)
	}
	for _, secret := range []string{zhangNumber, zhangName} {
		for what, b := range map[string]any{"status": st, "queue": q, "cases": list, "devices": d} {
			if j, err := json.Marshal(b); err != nil || strings.Contains(string(j), secret) {
				t.Errorf("%s tells who it is: %v", what, err)
			}
		}
		if bytes.Contains(text, []byte(secret)) {
			t.Error("the exported log tells who it is")
		}
	}
	// What is on the screen is a person's: only a demonstration with the
	// automation door open tells it.
	if err := control.Call(t.Context(), path, "screen", nil, nil); err == nil || !strings.Contains(err.Error(), "door is shut") {
		t.Errorf("screen: %v", err)
	}
	h.App.o.Automation = true
	ask("screen", nil)
	if err := control.Call(t.Context(), path, "dance", nil, nil); err == nil || !strings.Contains(err.Error(), "allowed: status, devices") {
		t.Errorf("%v", err)
	}
	quit := make(chan struct{})
	h.mu.Lock()
	h.quitFn = func() { close(quit) }
	h.mu.Unlock()
	ask("quit", nil)
	<-quit
	// Nobody else reads the vault of a running terminal.
	_, err = Offline(t.Context(), h.cfg, "test", "status")
	words(t, err, "VT-01", "已经在运行")
	stop()
	if err := control.Call(t.Context(), path, "status", nil, nil); !errors.Is(err, control.ErrNotRunning) {
		t.Errorf("after the end: %v", err)
	}
}
