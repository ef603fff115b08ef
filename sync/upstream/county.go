package upstream

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	gosync "sync"
	"time"

	"cunban/kiosk/cases"
	"cunban/kiosk/catalog"
	"cunban/sync/wire"
)

// zone is the county's clock on the wall: days of numbers and limits are
// China's, whatever the machine is set to.
var zone = time.FixedZone("CST", 8*60*60)

// Register is what the county asks about persons: the social-security registers
// behind it. Implementations are safe for concurrent use. ErrRegister means
// that it does not answer now.
type Register interface {
	Verify(ctx context.Context, in wire.VerifyClaimIn) (wire.VerifyClaimOut, error)
	Records(ctx context.Context, in wire.RecordsIn) (wire.RecordsOut, error)
	Prefill(ctx context.Context, in wire.PrefillIn) (wire.PrefillOut, error)
	AsOf() time.Time // how fresh it is
}

// Errors of Register.
var (
	ErrRegister = errors.New("the register does not answer")
	ErrNoPerson = errors.New("the register has no such person")
)

// Options configure a County. Dir, Store, Keys and Register are needed.
type Options struct {
	Dir       string // files of cases and uploads lie under it
	Store     Store
	Keys      *Keys
	Register  Register
	Catalogue *catalog.Catalogue // nil = the embedded one
	Calendar  cases.Calendar
	Now       func() time.Time // nil = time.Now
	Rand      io.Reader        // nil = crypto/rand
	Logger    *slog.Logger
	// AutoApprove lets every enrolment with a right code pass without a person.
	AutoApprove bool
	// Settings go into every terminal's identity, e.g. phone numbers.
	Settings json.RawMessage
}

// County is the core that the HTTP service, the staff page and the command
// line share.
type County struct {
	o   Options
	cat *catalog.Catalogue
	hub hub
	log *slog.Logger
	// tries slows down guessing of one-time codes and passwords.
	tries tries
}

// New checks the options.
func New(o Options) (*County, error) {
	if o.Dir == "" || o.Store == nil || o.Keys == nil || o.Register == nil {
		return nil, errors.New("upstream needs a folder, a store, keys and a register")
	}
	if o.Catalogue == nil {
		c, err := catalog.Embedded()
		if err != nil {
			return nil, fmt.Errorf("upstream: %w", err)
		}
		o.Catalogue = c
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	for _, d := range []string{dirUploads, dirFiles} {
		if err := os.MkdirAll(filepath.Join(o.Dir, d), 0o700); err != nil {
			return nil, fmt.Errorf("upstream: %w", err)
		}
	}
	return &County{o: o, cat: o.Catalogue, log: o.Logger, hub: newHub(), tries: newTries(o.Now)}, nil
}

// Keys returns the county's keys.
func (c *County) Keys() *Keys { return c.o.Keys }

// Catalogue returns the county's catalogue.
func (c *County) Catalogue() *catalog.Catalogue { return c.cat }

func (c *County) now() time.Time { return c.o.Now().UTC().Truncate(time.Microsecond) }

// Folders under Dir.
const (
	dirUploads = "uploads" // partial files
	dirFiles   = "files"   // <case>/<revision>/<name>
)

// hub wakes long polls when something was published.
type hub struct {
	mu *gosync.Mutex
	ch *chan struct{}
}

func newHub() hub {
	ch := make(chan struct{})
	return hub{mu: new(gosync.Mutex), ch: &ch}
}

// wait returns a channel that is closed at the next wake. Take it before
// looking, so that nothing slips between.
func (h hub) wait() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return *h.ch
}

func (h hub) wake() {
	h.mu.Lock()
	defer h.mu.Unlock()
	close(*h.ch)
	*h.ch = make(chan struct{})
}

// tries counts wrong secrets per name in memory, so that they cannot be
// guessed.
type tries struct {
	mu  *gosync.Mutex
	now func() time.Time
	m   map[string]*try
}

type try struct {
	n     int
	until time.Time
}

// A name with maxTries wrong secrets is shut for shutFor.
const (
	maxTries     = 5
	shutFor      = 30 * time.Minute
	maxTryNames  = 10_000
	triesToForgt = time.Hour
)

func newTries(now func() time.Time) tries {
	return tries{mu: new(gosync.Mutex), now: now, m: map[string]*try{}}
}

// shut returns how long a name stays shut; 0 = open.
func (t tries) shut(name string) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	x, ok := t.m[name]
	if !ok || x.n < maxTries {
		return 0
	}
	left := x.until.Sub(t.now())
	if left <= 0 {
		delete(t.m, name)
		return 0
	}
	return left
}

func (t tries) wrong(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	if len(t.m) >= maxTryNames {
		for k, x := range t.m {
			if now.Sub(x.until) > triesToForgt || x.n < maxTries {
				delete(t.m, k)
			}
		}
	}
	x, ok := t.m[name]
	if !ok {
		x = new(try)
		t.m[name] = x
	}
	x.n++
	x.until = now.Add(shutFor)
}

func (t tries) right(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.m, name)
}
