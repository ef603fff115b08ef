package speech

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"
	"unicode/utf8"

	"cunban/device"
)

func TestSpeakable(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"请插入社保卡。", "请插入社保卡。"},
		{"您的号码是142731196503071234，请核对。", "您的号码是，请核对。"},
		{"号码 1427 3119 6503 0712 34", "号码"},
		{"尾号12345X", "尾号"},
		{"号码14273119650307123X。", "号码。"},
		{"号码1427**********1234", "号码"},
		{"打0359-3012345", "打"},
		{"１４２７３１１９６５０３０７１２３４", ""},
		{"2026年11月25日", "2026年11月25日"},
		{"第 3 步，共 12 步", "第 3 步，共 12 步"},
		{"请看\x00\x1b[31m屏幕\u200b", "请看[31m屏幕"},
		{"——。！", ""},
		{"", ""},
	} {
		if got := Speakable(c.in); got != c.want {
			t.Errorf("%q: %q, want %q", c.in, got, c.want)
		}
	}
	if got := Speakable(strings.Repeat("好", 1000)); utf8.RuneCountInString(got) != maxRunes {
		t.Errorf("%d characters", utf8.RuneCountInString(got))
	}
}

func FuzzSpeakable(f *testing.F) {
	f.Add("号码 1427 3119 6503 0712 34")
	f.Add("14273119650307123X")
	f.Fuzz(func(t *testing.T, s string) {
		got := Speakable(s)
		if utf8.RuneCountInString(got) > 2*maxRunes {
			t.Fatalf("%d characters", utf8.RuneCountInString(got))
		}
		run := 0
		for _, r := range got {
			if r >= '0' && r <= '9' {
				if run++; run > maxDigits {
					t.Fatalf("%q of %q has a long number", got, s)
				}
			} else {
				run = 0
			}
		}
	})
}

func need(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		if os.Getenv("CUNBAN_CI") == "1" {
			t.Fatalf("%s is not installed", program)
		}
		t.Skipf("%s is not installed", program)
	}
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	over := time.NewTimer(20 * time.Second)
	defer over.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-over.C:
			t.Fatalf("never happened: %s", what)
		}
	}
}

// run runs a speaker until the test ends.
func run(t *testing.T, s *Speaker) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("run ended with %v", err)
		}
	})
	until(t, "first look", func() bool { return s.Health().State != device.StateUnknown })
}

func exists(name string) func() bool {
	return func() bool { _, err := os.Stat(name); return err == nil }
}

func TestVoiceSpeaksIntoFiles(t *testing.T) {
	need(t, "espeak-ng")
	dir := t.TempDir()
	s := New(Options{WaveDir: dir})
	run(t, s)
	if h := s.Health(); h.State != device.StateReady {
		t.Fatalf("health %+v", h)
	}
	s.Say("您好")
	until(t, "first file", exists(filepath.Join(dir, "001.wav")))
	s.Say("请插入社保卡，或者把身份证放在读卡区，机器会读出您的姓名。")
	until(t, "second file", exists(filepath.Join(dir, "002.wav")))
	var size [2]int
	for i, n := range []string{"001.wav", "002.wav"} {
		b, err := os.ReadFile(filepath.Join(dir, n))
		if err != nil || !bytes.HasPrefix(b, []byte("RIFF")) {
			t.Fatalf("%s: %v, %d bytes", n, err, len(b))
		}
		size[i] = len(b)
	}
	if size[1] < 3*size[0] {
		t.Errorf("the long sentence has %d bytes, the short one %d", size[1], size[0])
	}
}

func TestRecordingGoesFirst(t *testing.T) {
	need(t, "espeak-ng")
	dir := t.TempDir()
	rec := []byte("RIFF-recorded")
	s := New(Options{WaveDir: dir, Recorded: fstest.MapFS{RecordingName("请取走回执。"): {Data: rec}}})
	run(t, s)
	s.Say("请取走回执。")
	name := filepath.Join(dir, "001.wav")
	until(t, "file", exists(name))
	if b, err := os.ReadFile(name); err != nil || !bytes.Equal(b, rec) {
		t.Errorf("%q, %v", b, err)
	}
}

// slow is a voice that never ends; it leaves what it was told in a file.
func slow(t *testing.T) (program string, told func(string) func() bool, pid func() int) {
	t.Helper()
	dir := t.TempDir()
	program = filepath.Join(dir, "voice")
	said := filepath.Join(dir, "said")
	if err := os.WriteFile(program, []byte("#!/bin/sh\ncase \"$*\" in *--stdout*) printf sound; exit 0;; esac\ncat > "+said+".new\n"+
		"echo $$ > "+dir+"/pid\nmv "+said+".new "+said+"\nsleep 600\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	told = func(want string) func() bool {
		return func() bool { b, err := os.ReadFile(said); return err == nil && string(b) == want }
	}
	pid = func() int {
		b, err := os.ReadFile(filepath.Join(dir, "pid"))
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, c := range strings.TrimSpace(string(b)) {
			n = n*10 + int(c-'0')
		}
		return n
	}
	return program, told, pid
}

func TestSayReplacesAndStopEnds(t *testing.T) {
	program, told, pid := slow(t)
	s := New(Options{Program: program, SoundCard: func() bool { return true }})
	run(t, s)
	s.Say("第一句。")
	until(t, "first sentence", told("第一句。"))
	first := pid()
	s.Say("第二句。")
	s.Say("第三句，号码142731196503071234。")
	until(t, "third sentence, without the number", told("第三句，号码。"))
	until(t, "first voice is gone", func() bool { return syscall.Kill(-first, 0) != nil })
	third := pid()
	s.Stop()
	until(t, "third voice is gone", func() bool { return syscall.Kill(-third, 0) != nil })
	if h := s.Health(); h.State != device.StateReady || h.Counters["failures"] != 0 {
		t.Errorf("health %+v", h)
	}
}

func TestWithoutSoundCardSilentAndNoLoop(t *testing.T) {
	program, _, _ := slow(t)
	s := New(Options{Program: program, SoundCard: func() bool { return false }})
	events := make(chan device.Event, 100)
	defer s.Subscribe(func(e device.Event) { events <- e })()
	run(t, s)
	if h := s.Health(); h.State != device.StateAbsent || h.Code != "SP-02" || h.Remedy == "" {
		t.Fatalf("health %+v", h)
	}
	for range 20 {
		s.Say("请插卡。")
	}
	until(t, "sentences are dropped", func() bool { return s.Health().Counters["unspoken"] > 0 })
	if n := len(events); n > 3 {
		t.Errorf("%d events for one condition", n)
	}
}

func TestWithoutProgram(t *testing.T) {
	s := New(Options{Program: "a-voice-that-nobody-has", SoundCard: func() bool { return true }})
	if h := s.SelfTest(t.Context()); h.State != device.StateAbsent || h.Code != "SP-01" {
		t.Errorf("health %+v", h)
	}
}

func TestRealVoiceWithoutCard(t *testing.T) {
	need(t, "espeak-ng")
	if soundCard() {
		t.Skip("this machine has a sound card")
	}
	s := New(Options{SoundCard: func() bool { return true }}) // it claims to be there
	run(t, s)
	s.Say("您好")
	until(t, "the failure is noticed", func() bool { return s.Health().Code == "SP-03" })
}
