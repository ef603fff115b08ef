package sync

import (
	"context"
	gosync "sync"
	"time"
)

// LineKind is the closed set of conditions of the line.
type LineKind string

// Line kinds.
const (
	LineConnecting  LineKind = "connecting"  // not known yet
	LineUp          LineKind = "up"          // the county answers
	LineBusy        LineKind = "busy"        // the county answers, but asked to wait or is in trouble
	LineDown        LineKind = "down"        // no way through
	LinePortal      LineKind = "portal"      // a login page answers instead
	LineCertificate LineKind = "certificate" // somebody answers who is not the county
	LineSignIn      LineKind = "sign-in"     // the county does not take this terminal
	LineRevoked     LineKind = "revoked"     // the county switched this terminal off
)

// LineKinds lists the closed set.
var LineKinds = []LineKind{
	LineConnecting, LineUp, LineBusy, LineDown, LinePortal, LineCertificate, LineSignIn, LineRevoked,
}

// lineTexts are the words for people; each says that the cases are safe, where
// somebody could doubt it.
var lineTexts = map[LineKind]string{
	LineConnecting:  "正在连接县里",
	LineUp:          "已联网",
	LineBusy:        "已联网，县里系统正忙，办件已保存在本机，稍后自动上传",
	LineDown:        "网络断开，办件已保存在本机",
	LinePortal:      "需要网页登录：请帮办员先在本机网络的登录网页上登录，办件已保存在本机",
	LineCertificate: "证书有问题，请联系县里，办件已保存在本机",
	LineSignIn:      "县里没有认可本终端，请联系县里，办件已保存在本机",
	LineRevoked:     "本终端已被县里停用，请联系县里，没有上传的办件都在本机",
}

// Online reports whether requests have a chance now.
func (k LineKind) Online() bool { return k == LineUp || k == LineBusy }

// LineState is the line at one moment.
type LineState struct {
	Kind   LineKind
	Since  time.Time
	Text   string // plain Chinese
	Detail string // technical cause, "" when up
	Until  time.Time
	// Until is when a busy queue goes on; zero otherwise.
}

// line is the state machine. Its inputs are answers (good) and failures (fail);
// lanes wait on it. All methods are safe for concurrent use.
type line struct {
	mu       gosync.Mutex
	now      func() time.Time
	onChange func(LineState)
	notify   gosync.Mutex // keeps onChange in order
	reported LineState

	kind    LineKind // never LineBusy; that and a revocation by a change are computed
	since   time.Time
	detail  string
	text    string
	changed chan struct{} // closed and replaced at every change
	fails   int           // probes failed in a row

	pause     time.Time // queue paused by server trouble
	hardPause time.Time // queue paused because the upstream said so
	pauseText string
	revoked   string // reason, "" = not revoked by a change
	since2    time.Time

	lastGood time.Time // when the upstream answered last
	downs    uint64    // times the line went from up to not up
	suspects int       // messages without answer for too long
	pending  map[*pendingReq]struct{}
}

type pendingReq struct {
	downs  uint64
	cancel context.CancelFunc
}

func newLine(now func() time.Time, onChange func(LineState)) *line {
	l := &line{
		now: now, onChange: onChange, kind: LineConnecting, since: now(),
		changed: make(chan struct{}), pending: map[*pendingReq]struct{}{},
	}
	l.reported = l.stateLocked()
	return l
}

func (l *line) stateLocked() LineState {
	s := LineState{Kind: l.kind, Since: l.since, Detail: l.detail, Text: lineTexts[l.kind]}
	if l.text != "" {
		s.Text = l.text
	}
	switch {
	case l.kind == LineUp && l.revoked != "":
		s.Kind, s.Text, s.Detail = LineRevoked, lineTexts[LineRevoked], l.revoked
	case l.kind == LineUp && l.pausedLocked() > 0:
		s.Kind, s.Text, s.Detail = LineBusy, lineTexts[LineBusy], l.pauseText
		s.Until = l.now().Add(l.pausedLocked())
		s.Since = l.since2
	}
	return s
}

// State returns the line as it is now.
func (l *line) State() LineState {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stateLocked()
}

// touch wakes everybody who waits and tells onChange when people would see a
// difference. The caller holds mu and has it back when touch returns.
func (l *line) touch() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// tell reports the present state outside mu, once per visible change.
func (l *line) tell() {
	l.notify.Lock()
	defer l.notify.Unlock()
	l.mu.Lock()
	s := l.stateLocked()
	same := s.Kind == l.reported.Kind && s.Text == l.reported.Text
	if !same {
		l.reported = s
	}
	l.mu.Unlock()
	if !same {
		l.onChange(s)
	}
}

// good notes an answer that was certainly the upstream's.
func (l *line) good() {
	l.mu.Lock()
	l.fails = 0
	l.lastGood = l.now()
	if l.kind == LineUp {
		l.mu.Unlock()
		return
	}
	l.kind, l.since, l.detail, l.text = LineUp, l.now(), "", ""
	// Requests that were under way when the line went away hang on a dead
	// connection: break them off, they are repeated at once.
	for p := range l.pending {
		if p.downs < l.downs {
			p.cancel()
		}
	}
	l.touch()
	l.mu.Unlock()
	l.tell()
}

// goodSince reports whether the upstream answered anything after t.
func (l *line) goodSince(t time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lastGood.After(t)
}

// fail notes a failure that predicts the next one. text replaces the usual
// words when it is not empty.
func (l *line) fail(kind LineKind, text, detail string) {
	l.mu.Lock()
	if l.kind == LineUp {
		l.downs++
	}
	if l.kind != kind {
		l.since = l.now()
		l.fails = 0
	}
	changed := l.kind != kind || l.text != text
	l.kind, l.text, l.detail = kind, text, detail
	if changed {
		l.touch()
	}
	l.mu.Unlock()
	l.tell()
}

func (l *line) probeFailed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fails++
}

// hold pauses the queue for d; hard when the upstream asked for it.
func (l *line) hold(d time.Duration, hard bool, detail string) {
	l.mu.Lock()
	if l.pausedLocked() == 0 {
		l.since2 = l.now()
	}
	until := l.now().Add(d)
	if hard {
		l.hardPause = later(l.hardPause, until)
	} else {
		l.pause = later(l.pause, until)
	}
	l.pauseText = detail
	l.touch()
	l.mu.Unlock()
	l.tell()
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// pausedLocked tells how long the queue still pauses.
func (l *line) pausedLocked() time.Duration {
	return max(later(l.pause, l.hardPause).Sub(l.now()), 0)
}

// paused tells how long the queue still pauses.
func (l *line) paused() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pausedLocked()
}

// wake ends a back-off of ours, not one the upstream asked for.
func (l *line) wake() {
	l.mu.Lock()
	l.pause = time.Time{}
	l.fails = 0
	l.touch()
	l.mu.Unlock()
	l.tell()
}

func (l *line) setRevoked(reason string) {
	l.mu.Lock()
	l.revoked = reason
	l.touch()
	l.mu.Unlock()
	l.tell()
}

// waitOnline blocks until the line is up; false means ctx ended.
func (l *line) waitOnline(ctx context.Context) bool {
	for {
		l.mu.Lock()
		up, changed := l.kind == LineUp, l.changed
		l.mu.Unlock()
		if ctx.Err() != nil {
			return false
		}
		if up {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-changed:
		}
	}
}

// waitReady blocks until cases may be sent: line up, no pause, not revoked.
func (l *line) waitReady(ctx context.Context) bool {
	for {
		l.mu.Lock()
		up, revoked, pause, changed := l.kind == LineUp, l.revoked != "", l.pausedLocked(), l.changed
		l.mu.Unlock()
		switch {
		case ctx.Err() != nil:
			return false
		case up && !revoked && pause == 0:
			l.tell() // busy may just have ended
			return true
		case up && !revoked:
			if !sleep(ctx, pause, changed) {
				return false
			}
		default:
			select {
			case <-ctx.Done():
				return false
			case <-changed:
			}
		}
	}
}

// bind ties a request to the line: should the line go away and come back while
// it is under way, its context is cancelled. done must be called.
func (l *line) bind(ctx context.Context) (_ context.Context, done func()) {
	ctx, cancel := context.WithCancel(ctx)
	l.mu.Lock()
	p := &pendingReq{downs: l.downs, cancel: cancel}
	l.pending[p] = struct{}{}
	l.mu.Unlock()
	return ctx, func() {
		l.mu.Lock()
		delete(l.pending, p)
		l.mu.Unlock()
		cancel()
	}
}

// suspect starts probing although the line counts as up, because a message has
// no answer yet; the returned function ends it.
func (l *line) suspect() (end func()) {
	l.mu.Lock()
	l.suspects++
	l.touch()
	l.mu.Unlock()
	return func() {
		l.mu.Lock()
		l.suspects--
		l.mu.Unlock()
	}
}

// suspectAfter is suspect from d on; stop ends it, whether it began or not.
func (l *line) suspectAfter(d time.Duration) (stop func()) {
	var (
		mu   gosync.Mutex
		end  func()
		over bool
	)
	t := time.AfterFunc(d, func() {
		mu.Lock()
		defer mu.Unlock()
		if !over {
			end = l.suspect()
		}
	})
	return func() {
		t.Stop()
		mu.Lock()
		defer mu.Unlock()
		over = true
		if end != nil {
			end()
		}
	}
}

// probing tells whether probes are wanted, how many failed in a row and how to
// learn of a change.
func (l *line) probing() (wanted bool, kind LineKind, fails int, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.kind != LineUp || l.suspects > 0, l.kind, l.fails, l.changed
}
