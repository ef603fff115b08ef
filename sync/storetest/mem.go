// Package storetest holds what every store of the sync engine is tested with:
// one suite, Run, for the vault and for the store in memory that the engine's
// own tests and simulations use. It exists so that the engine is never tested
// against promises that the real store does not keep.
package storetest

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	gosync "sync"
	"time"

	"cunban/kiosk/cases"
	"cunban/kiosk/seal"
	"cunban/sync"
)

// Store is a store under test: the engine's port, and the way in.
type Store interface {
	sync.Store
	// Submit commits a new case or revision, as cases.Store says.
	Submit(ctx context.Context, s cases.Submission) (cases.Case, error)
	// Case reads a case; cases.ErrNotFound.
	Case(ctx context.Context, id string) (cases.Case, error)
}

// Mem is a store in memory. What it holds survives the engine, as the disk
// would. Safe for concurrent use.
type Mem struct {
	// Fail, when set, may make an operation fail; after tells whether its
	// effect is there already, as when a commit's answer is lost.
	Fail func(op string, after bool) error

	mu       gosync.Mutex
	items    []*item
	cases    map[string]cases.Case
	settings map[string][]byte
	leases   int
	log      int64
	signed   []string
}

type item struct {
	cases.Item
	leasedAt time.Time
	sealed   map[string][]byte
}

// NewMem makes an empty store.
func NewMem() *Mem {
	return &Mem{cases: map[string]cases.Case{}, settings: map[string][]byte{}}
}

func (m *Mem) op(name string, f func() error) error {
	if m.Fail != nil {
		if err := m.Fail(name, false); err != nil {
			return err
		}
	}
	m.mu.Lock()
	err := f()
	m.mu.Unlock()
	if err == nil && m.Fail != nil {
		return m.Fail(name, true)
	}
	return err
}

func (m *Mem) find(id string, rev int) *item {
	for _, it := range m.items {
		if it.CaseID == id && it.Revision == rev {
			return it
		}
	}
	return nil
}

// Submit implements Store.
func (m *Mem) Submit(_ context.Context, s cases.Submission) (cases.Case, error) {
	c := s.Case
	err := m.op("submit", func() error {
		if m.find(c.ID, c.Revision) != nil {
			return cases.ErrExists
		}
		m.log++
		c.LogIndex = m.log - 1
		it := &item{sealed: map[string][]byte{}, Item: cases.Item{CaseID: c.ID, Revision: c.Revision, Service: c.Service,
			State: cases.QueueWaiting, SavedAt: c.SavedAt, KeyID: s.KeyID, Body: s.Body, Envelope: s.Envelope, Digest: c.BodyDigest}}
		for _, f := range s.Files {
			it.Files = append(it.Files, cases.QueuedFile{Name: f.Name, Material: f.Material, Page: f.Page, MIME: f.MIME,
				Size: int64(len(f.Sealed)), Digest: f.Digest})
			it.sealed[f.Name] = f.Sealed
		}
		m.items = append(m.items, it)
		m.cases[c.ID] = c
		return nil
	})
	return c, err
}

// Case implements Store.
func (m *Mem) Case(_ context.Context, id string) (c cases.Case, err error) {
	err = m.op("case", func() error {
		var ok bool
		if c, ok = m.cases[id]; !ok {
			return cases.ErrNotFound
		}
		return nil
	})
	return c, err
}

func open(it *item) bool { return it.State != cases.QueueDone && it.State != cases.QueueAttention }

// due reports whether an item may be handed out.
func (m *Mem) due(it *item, now time.Time, ttl time.Duration) bool {
	switch it.State {
	case cases.QueueWaiting:
		if it.NextTry.After(now) {
			return false
		}
	case cases.QueueLeased, cases.QueueSent:
		if now.Sub(it.leasedAt) <= ttl {
			return false
		}
	case cases.QueueDone, cases.QueueAttention:
		return false
	}
	for _, o := range m.items {
		if o.CaseID == it.CaseID && o.Revision < it.Revision && o.State != cases.QueueDone {
			return false
		}
	}
	return true
}

// Lease implements sync.Store.
func (m *Mem) Lease(_ context.Context, now time.Time, ttl time.Duration, most int) (out []cases.Item, err error) {
	err = m.op("lease", func() error {
		for _, it := range m.items {
			if len(out) == most {
				break
			}
			if !m.due(it, now, ttl) {
				continue
			}
			m.leases++
			if it.State == cases.QueueWaiting {
				it.State = cases.QueueLeased
			}
			it.Lease, it.leasedAt = fmt.Sprintf("lease-%d", m.leases), now
			it.Attempts++
			c := it.Item
			c.Files = slices.Clone(it.Files)
			c.Case = m.cases[it.CaseID]
			out = append(out, c)
		}
		return nil
	})
	return out, err
}

func (m *Mem) settle(op, id string, rev int, lease string, f func(it *item) error) error {
	return m.op(op, func() error {
		it := m.find(id, rev)
		if it == nil {
			return cases.ErrNotFound
		}
		if it.Lease != lease || lease == "" || it.State != cases.QueueLeased && it.State != cases.QueueSent {
			return cases.ErrStaleLease
		}
		return f(it)
	})
}

// SentBody implements sync.Store.
func (m *Mem) SentBody(_ context.Context, id string, rev int, lease string) error {
	return m.settle("sent", id, rev, lease, func(it *item) error { it.State = cases.QueueSent; return nil })
}

func (m *Mem) file(id, name string, f func(it *item, i int) error) error {
	for _, it := range m.items {
		for i := range it.Files {
			if it.CaseID == id && it.Files[i].Name == name {
				return f(it, i)
			}
		}
	}
	return fmt.Errorf("file %s of case %s: %w", name, id, fs.ErrNotExist)
}

// FileUpload implements sync.Store.
func (m *Mem) FileUpload(_ context.Context, id, name, url string) error {
	return m.op("upload", func() error {
		return m.file(id, name, func(it *item, i int) error { it.Files[i].Upload = url; return nil })
	})
}

// FileDone implements sync.Store.
func (m *Mem) FileDone(_ context.Context, id, name string) error {
	return m.op("file-done", func() error {
		return m.file(id, name, func(it *item, i int) error { it.Files[i].Done = true; return nil })
	})
}

// OpenFile implements sync.Store.
func (m *Mem) OpenFile(_ context.Context, id, name string) (r io.ReadCloser, size int64, err error) {
	err = m.op("open", func() error {
		return m.file(id, name, func(it *item, _ int) error {
			b := it.sealed[name]
			r, size = io.NopCloser(bytes.NewReader(b)), int64(len(b))
			return nil
		})
	})
	return r, size, err
}

// Damage changes the bytes of a stored file, as a failing disk would.
func (m *Mem) Damage(id, name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, it := range m.items {
		if b := it.sealed[name]; it.CaseID == id && len(b) > 0 {
			it.sealed[name] = append([]byte{b[0] ^ 1}, b[1:]...)
		}
	}
}

// Acknowledge implements sync.Store.
func (m *Mem) Acknowledge(_ context.Context, id string, rev int, lease, acceptance string, at time.Time, due string) (c cases.Case, err error) {
	err = m.settle("acknowledge", id, rev, lease, func(it *item) error {
		it.State, it.Lease = cases.QueueDone, ""
		m.log++
		c = m.cases[id]
		u := cases.Update{CaseID: id, Revision: rev, State: cases.Accepted, At: at, Acceptance: acceptance, DueDate: due}
		if c.State == cases.Saved || c.State == cases.Attention {
			if _, err := c.Apply(u); err != nil {
				return err
			}
		} else if c.Acceptance == "" { // the downlink was quicker
			c.Acceptance, c.AcceptedAt = acceptance, at
		}
		m.cases[id] = c
		return nil
	})
	return c, err
}

// Retry implements sync.Store.
func (m *Mem) Retry(_ context.Context, id string, rev int, lease string, next time.Time, reason, detail string) error {
	return m.settle("retry", id, rev, lease, func(it *item) error {
		it.State, it.Lease, it.NextTry, it.Reason, it.Detail = cases.QueueWaiting, "", next, reason, detail
		return nil
	})
}

// Attention implements sync.Store.
func (m *Mem) Attention(_ context.Context, id string, rev int, lease, reason, detail string) error {
	return m.settle("attention", id, rev, lease, func(it *item) error {
		it.State, it.Lease, it.Reason, it.Detail = cases.QueueAttention, "", reason, detail
		m.log++
		c := m.cases[id]
		if c.State == cases.Saved {
			c.State = cases.Attention
		}
		m.cases[id] = c
		return nil
	})
}

// Upstream implements sync.Store.
func (m *Mem) Upstream(_ context.Context, u cases.Update) error {
	return m.op("upstream", func() error {
		c, ok := m.cases[u.CaseID]
		if !ok {
			return cases.ErrNotFound
		}
		if _, err := c.Apply(u); err != nil {
			return err
		}
		m.cases[u.CaseID] = c
		return nil
	})
}

// Counts implements sync.Store.
func (m *Mem) Counts(context.Context) (c cases.Counts, err error) {
	err = m.op("counts", func() error {
		c = cases.Counts{Total: len(m.items)}
		for _, it := range m.items {
			switch it.State {
			case cases.QueueWaiting, cases.QueueLeased:
				c.Waiting++
			case cases.QueueSent:
				c.Waiting++
				c.Sent++
			case cases.QueueDone:
				c.Done++
			case cases.QueueAttention:
				c.Attention++
			}
		}
		return nil
	})
	return c, err
}

// Get implements sync.Store.
func (m *Mem) Get(_ context.Context, key string) (v []byte, ok bool, err error) {
	err = m.op("get", func() error {
		v, ok = m.settings[key]
		v = slices.Clone(v)
		return nil
	})
	return v, ok, err
}

// Put implements sync.Store.
func (m *Mem) Put(ctx context.Context, key string, val []byte) error {
	return m.PutAll(ctx, map[string][]byte{key: val})
}

// PutAll implements sync.Store.
func (m *Mem) PutAll(_ context.Context, vals map[string][]byte) error {
	return m.op("put", func() error {
		for k, v := range vals {
			m.settings[k] = slices.Clone(v)
		}
		return nil
	})
}

// Delete implements sync.Store.
func (m *Mem) Delete(_ context.Context, key string) error {
	return m.op("delete", func() error { delete(m.settings, key); return nil })
}

// Keys implements sync.Store.
func (m *Mem) Keys(_ context.Context, prefix string) (out []string, err error) {
	err = m.op("keys", func() error {
		for _, k := range slices.Sorted(maps.Keys(m.settings)) {
			if strings.HasPrefix(k, prefix) {
				out = append(out, k)
			}
		}
		return nil
	})
	return out, err
}

// Checkpoint implements sync.Store with a note that nobody signed.
func (m *Mem) Checkpoint(_ context.Context, since int64) (note []byte, proof [][]byte, err error) {
	err = m.op("checkpoint", func() error {
		root := seal.Digest(fmt.Appendf(nil, "root %d", m.log))
		note = fmt.Appendf(nil, "cunban/test\n%d\n%s\n\n— cunban/test sig\n", m.log, base64.StdEncoding.EncodeToString(root))
		if since > 0 && since < m.log {
			proof = [][]byte{root}
		}
		return nil
	})
	return note, proof, err
}

// Countersign implements sync.Store.
func (m *Mem) Countersign(_ context.Context, note []byte) error {
	return m.op("countersign", func() error { m.signed = append(m.signed, string(note)); return nil })
}

// Countersigned are the checkpoints that the county signed, oldest first.
func (m *Mem) Countersigned() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.signed)
}

// Queue is the queue as it stands, without bodies.
func (m *Mem) Queue() []cases.Item {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]cases.Item, 0, len(m.items))
	for _, it := range m.items {
		c := it.Item
		c.Body, c.Envelope, c.Case = nil, nil, m.cases[it.CaseID]
		c.Files = slices.Clone(it.Files)
		out = append(out, c)
	}
	return out
}

// Open reports how many items are neither done nor need attention.
func (m *Mem) Open() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, it := range m.items {
		if open(it) {
			n++
		}
	}
	return n
}

var _ Store = (*Mem)(nil)
