package sync

import (
	"context"
	"encoding/json"
	gosync "sync"
	"time"
)

// Meter says what a metered line (a SIM card) may be used for. Cases always go;
// scans wait. The zero value does not limit anything.
type Meter struct {
	// DailyBytes is how much may be used per day before scans wait; 0 = no cap.
	DailyBytes int64
	// Scans go without regard to the cap from NightFrom to NightTo, as time of
	// day at Location; both 0 = no night window. The window may span midnight.
	NightFrom, NightTo time.Duration
	// NightOnly keeps scans to the night window altogether.
	NightOnly bool
	// Location of day and night; nil = China Standard Time.
	Location *time.Location
}

func (m Meter) location() *time.Location {
	if m.Location != nil {
		return m.Location
	}
	return time.FixedZone("CST", 8*60*60)
}

// night reports whether t is in the night window and how long it is to its
// next beginning.
func (m Meter) night(t time.Time) (in bool, wait time.Duration) {
	const day = 24 * time.Hour
	if m.NightFrom == m.NightTo {
		return false, day
	}
	t = t.In(m.location())
	now := t.Sub(time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, t.Location()))
	if m.NightFrom < m.NightTo {
		in = now >= m.NightFrom && now < m.NightTo
	} else {
		in = now >= m.NightFrom || now < m.NightTo
	}
	return in, (m.NightFrom - now + day) % day
}

// meter counts the bytes of a day. The count survives restarts but for what was
// not written yet.
type meter struct {
	o     Meter
	store Store
	now   func() time.Time

	mu       gosync.Mutex
	day      string
	used     int64
	unsaved  int64
	disabled bool
}

// meterStep is how many bytes may be lost from the count by a power cut.
const meterStep = 512 << 10

type usage struct {
	Day   string `json:"day"`
	Bytes int64  `json:"bytes"`
}

func newMeter(o Meter, s Store, now func() time.Time) *meter {
	return &meter{o: o, store: s, now: now, disabled: o.DailyBytes <= 0}
}

func (m *meter) today() string { return m.now().In(m.o.location()).Format(time.DateOnly) }

// load reads the count of the day. Trouble only means that it starts at zero.
func (m *meter) load(ctx context.Context) {
	if m.disabled {
		return
	}
	b, ok, err := m.store.Get(ctx, keyUsage)
	var u usage
	if err != nil || !ok || json.Unmarshal(b, &u) != nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.day, m.used = u.Day, u.Bytes
}

// spend counts n bytes.
func (m *meter) spend(ctx context.Context, n int64) {
	if m.disabled {
		return
	}
	m.mu.Lock()
	if d := m.today(); d != m.day {
		m.day, m.used = d, 0
	}
	m.used += n
	m.unsaved += n
	var b []byte
	if m.unsaved >= meterStep {
		m.unsaved = 0
		b, _ = json.Marshal(usage{m.day, m.used}) // two plain fields: cannot fail
	}
	m.mu.Unlock()
	if b != nil {
		_ = m.store.Put(ctx, keyUsage, b) // the next step writes it again
	}
}

// wait tells how long scans have to wait; 0 = they may go.
func (m *meter) wait() time.Duration {
	now := m.now()
	in, until := m.o.night(now)
	if in {
		return 0
	}
	if m.o.NightOnly {
		return until
	}
	if m.disabled {
		return 0
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.today() != m.day || m.used < m.o.DailyBytes {
		return 0
	}
	t := now.In(m.o.location())
	midnight := time.Date(t.Year(), t.Month(), t.Day()+1, 0, 0, 0, 0, t.Location())
	return min(midnight.Sub(t), until)
}

// bucket is a token bucket over bytes. The zero rate does not limit.
type bucket struct {
	mu   gosync.Mutex
	rate float64 // bytes per second
	free time.Time
}

func newBucket(rate int64) *bucket { return &bucket{rate: float64(rate)} }

// take waits until n bytes may go; false means ctx ended.
func (b *bucket) take(ctx context.Context, n int) bool {
	if b.rate <= 0 {
		return ctx.Err() == nil
	}
	b.mu.Lock()
	now := time.Now()
	if b.free.Before(now) {
		b.free = now
	}
	wait := b.free.Sub(now)
	b.free = b.free.Add(time.Duration(float64(n) / b.rate * float64(time.Second)))
	b.mu.Unlock()
	return sleep(ctx, wait, nil)
}
