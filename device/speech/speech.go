// Package speech says short sentences aloud in Mandarin, for people who read
// with effort. It plays a recording where one was made for the sentence and
// otherwise lets espeak-ng speak it.
//
// It guarantees: numbers of people are never read aloud (Speakable); a new
// sentence replaces the one that is being said; the program that speaks is a
// process of its own which is killed when it is no longer wanted; a machine
// without a sound card is silent and says so once, and never in a loop; the
// text never shows in the list of processes.
package speech

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"cunban/device"
	"cunban/device/internal/hub"
)

// Defaults of Options.
const (
	DefaultVoice = "cmn"            // Mandarin
	DefaultRate  = 150              // words a minute; espeak-ng's own is 175
	DefaultPoll  = 30 * time.Second // between looks for a sound card
	sentenceTime = 90 * time.Second // one sentence; then something hangs
	maxRecording = 8 << 20          // bytes
)

// Options say how sentences are spoken.
type Options struct {
	Program string   // espeak-ng; "" = found in PATH
	Voice   string   // "" = DefaultVoice
	Rate    int      // words a minute; 0 = DefaultRate
	Player  []string // plays a WAV file from its standard input; nil = aplay -q -

	// Recorded holds recordings, <RecordingName(sentence)>; nil = none.
	Recorded fs.FS

	// WaveDir, when set, gets one WAV file a sentence instead of sound.
	WaveDir string

	// SoundCard tells whether there is something to speak with; nil = look.
	SoundCard func() bool

	Poll   time.Duration    // between looks for a sound card; 0 = DefaultPoll
	Now    func() time.Time // nil = time.Now
	Logger *slog.Logger     // nil = none; texts are never logged
}

// RecordingName is the file name of a sentence's recording: the first 16 hex
// digits of the SHA-256 of what Speakable leaves of it, and ".wav".
func RecordingName(sentence string) string {
	h := sha256.Sum256([]byte(Speakable(sentence)))
	return hex.EncodeToString(h[:8]) + ".wav"
}

// Speaker speaks. Make one with New; nothing is said before Run.
type Speaker struct {
	o   Options
	hub *hub.Hub

	mu   sync.Mutex
	next string             // what is to be said; "" = nothing
	stop context.CancelFunc // ends what is being said
	wake chan struct{}
	wave int
}

var _ device.Speaker = (*Speaker)(nil)

// New makes a speaker.
func New(o Options) *Speaker {
	o.Program = cmp.Or(o.Program, "espeak-ng")
	o.Voice = cmp.Or(o.Voice, DefaultVoice)
	o.Rate = cmp.Or(o.Rate, DefaultRate)
	o.Poll = cmp.Or(o.Poll, DefaultPoll)
	if o.Player == nil {
		o.Player = []string{"aplay", "-q", "-"}
	}
	if o.SoundCard == nil {
		o.SoundCard = soundCard
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Speaker{o: o, wake: make(chan struct{}, 1), stop: func() {},
		hub: hub.New(device.Health{Kind: device.KindSpeech, Name: o.Program + " " + o.Voice}, o.Now)}
}

// soundCard looks for an ALSA card that plays, or a sound server.
func soundCard() bool {
	if cards, err := filepath.Glob("/dev/snd/pcmC*p"); err == nil && len(cards) > 0 {
		return true
	}
	if os.Getenv("PULSE_SERVER") != "" {
		return true
	}
	dir := os.Getenv("XDG_RUNTIME_DIR")
	if dir == "" {
		return false
	}
	for _, socket := range []string{"pulse/native", "pipewire-0"} {
		if _, err := os.Stat(filepath.Join(dir, socket)); err == nil {
			return true
		}
	}
	return false
}

// Kind implements device.Device.
func (s *Speaker) Kind() device.Kind { return device.KindSpeech }

// Health implements device.Device.
func (s *Speaker) Health() device.Health { return s.hub.Health() }

// Subscribe implements device.Device.
func (s *Speaker) Subscribe(fn func(device.Event)) (cancel func()) { return s.hub.Subscribe(fn) }

// SelfTest makes the voice speak into nothing and looks for the sound card.
func (s *Speaker) SelfTest(ctx context.Context) device.Health {
	var n counter
	err := s.run(ctx, []string{s.o.Program, "-v", s.o.Voice, "-s", strconv.Itoa(s.o.Rate), "--stdin", "--stdout"},
		strings.NewReader("您好"), &n)
	if err == nil && n == 0 {
		err = errors.New("speech: the voice gives no sound")
	}
	if ctx.Err() != nil {
		return s.hub.Health()
	}
	return s.set(err)
}

type counter int64

func (c *counter) Write(p []byte) (int, error) { *c += counter(len(p)); return len(p), nil }

// set takes over the condition.
func (s *Speaker) set(err error) device.Health {
	h := device.Health{State: device.StateReady}
	switch {
	case errors.Is(err, exec.ErrNotFound):
		h.State, h.Code = device.StateAbsent, "SP-01"
		h.Cause, h.Remedy = "语音程序没有装好。", "不影响办事，屏幕上都有字。请技术员安装 espeak-ng。"
	case s.o.WaveDir == "" && !s.o.SoundCard():
		h.State, h.Code = device.StateAbsent, "SP-02"
		h.Cause, h.Remedy = "没有找到声卡或音箱。", "不影响办事，屏幕上都有字。需要声音，请接上音箱。"
	case err != nil:
		h.State, h.Code = device.StateFault, "SP-03"
		h.Cause, h.Remedy = "语音播不出来。", "不影响办事，屏幕上都有字。请技术员检查音箱。"
	}
	if err != nil {
		h.Detail = err.Error()
	}
	s.hub.SetHealth(h)
	if h.State == device.StateReady {
		s.hub.Good()
	}
	return s.hub.Health()
}

// Say replaces what is being said. It returns at once. Without a sound card,
// and for a text of which Speakable leaves nothing, it only stops.
func (s *Speaker) Say(text string) {
	text = Speakable(text)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stop()
	s.next = text
	if text == "" {
		return
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Stop ends what is being said.
func (s *Speaker) Stop() { s.Say("") }

// Run implements device.Device: it says what Say asks for, and looks for the
// sound card from time to time.
func (s *Speaker) Run(ctx context.Context) error {
	s.SelfTest(ctx)
	t := time.NewTicker(s.o.Poll)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
			if s.hub.Health().State != device.StateReady || s.o.WaveDir == "" && !s.o.SoundCard() {
				s.SelfTest(ctx)
			}
			continue
		case <-s.wake:
		}
		if st := s.hub.Health().State; st == device.StateAbsent {
			s.hub.Count("unspoken")
			s.mu.Lock()
			s.next = ""
			s.mu.Unlock()
			continue
		}
		s.mu.Lock()
		text := s.next
		s.next = ""
		one, stop := context.WithTimeout(ctx, sentenceTime)
		s.stop = stop
		s.mu.Unlock()
		if text != "" {
			s.speak(one, text)
		}
		stop()
	}
}

// speak says one sentence to its end, or to the end of ctx.
func (s *Speaker) speak(ctx context.Context, text string) {
	rec := s.recording(text)
	var err error
	switch {
	case s.o.WaveDir != "":
		err = s.write(ctx, text, rec)
	case rec != nil:
		err = s.run(ctx, s.o.Player, bytes.NewReader(rec), io.Discard)
	default:
		err = s.run(ctx, []string{s.o.Program, "-v", s.o.Voice, "-s", strconv.Itoa(s.o.Rate), "--stdin"}, strings.NewReader(text), io.Discard)
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return // replaced or stopped
	}
	if err != nil {
		s.hub.Count("failures")
		s.o.Logger.Warn("speech failed", "error", err)
	} else {
		s.hub.Count("sentences")
	}
	s.set(err)
}

// recording finds the file that was recorded for a sentence, nil when none.
func (s *Speaker) recording(text string) []byte {
	if s.o.Recorded == nil {
		return nil
	}
	f, err := s.o.Recorded.Open(RecordingName(text))
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, maxRecording))
	if err != nil || !bytes.HasPrefix(b, []byte("RIFF")) {
		return nil
	}
	return b
}

// write leaves a sentence as a file, 001.wav, 002.wav …
func (s *Speaker) write(ctx context.Context, text string, rec []byte) error {
	wav := bytes.NewBuffer(rec)
	if rec == nil {
		args := []string{s.o.Program, "-v", s.o.Voice, "-s", strconv.Itoa(s.o.Rate), "--stdin", "--stdout"}
		if err := s.run(ctx, args, strings.NewReader(text), wav); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(s.o.WaveDir, 0o700); err != nil {
		return fmt.Errorf("speech: %w", err)
	}
	s.wave++
	name := filepath.Join(s.o.WaveDir, fmt.Sprintf("%03d.wav", s.wave))
	if err := os.WriteFile(name+".new", wav.Bytes(), 0o600); err != nil {
		return fmt.Errorf("speech: %w", err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		return fmt.Errorf("speech: %w", err)
	}
	return nil
}

// run lets a program work on in until it ends or ctx does; then it and what it
// started are killed at once, for speech must fall silent at once.
func (s *Speaker) run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	var errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, &errs
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("speech: %s: %w: %s", args[0], err, firstLine(errs.String()))
	}
	// espeak-ng ends with 0 though it found nothing to play on.
	if t := errs.String(); strings.Contains(t, "error:") || strings.Contains(t, "Unknown PCM") {
		return fmt.Errorf("speech: %s: %s", args[0], firstLine(t))
	}
	return nil
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}
