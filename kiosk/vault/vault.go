// Package vault is the terminal's memory: one encrypted SQLite database and
// the sealed scans beside it. It is the only package on the terminal with SQL,
// and implements the stores that kiosk/cases and sync ask for and the keeping
// of the operation log.
//
// It guarantees:
//
//  1. What a method reported as done survives a power cut at any instant: one
//     transaction, synchronous FULL, scans on the disk before the row that
//     names them.
//  2. No change of a case without its operation-log record, no record without
//     its change: both and the tree state are one transaction.
//  3. Not one readable byte on the disk (see cryptfile); what was in a case is
//     sealed for the county and cannot be opened here by anybody.
//  4. A second program is kept out; a wrong key, a newer file and a damaged
//     file are told apart; a damaged one is set aside, never deleted.
//  5. SQLite must confirm every setting that this rests on, or Open refuses.
//
// Who has root on the running machine is out of reach of all this.
//
// All methods are safe for concurrent use; changes happen one after the other.
package vault

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	gosync "sync"
	"time"

	"github.com/mattn/go-sqlite3"

	"cunban/kiosk/cases"
	"cunban/kiosk/oplog"
	"cunban/kiosk/seal"
	"cunban/kiosk/vault/cryptfile"
	"cunban/kiosk/vault/keyring"
	"cunban/kiosk/vault/keys"
)

// Errors of Open and of every method.
var (
	ErrLocked   = errors.New("another program has the vault open")
	ErrWrongKey = errors.New("the vault was not written with this key")
	ErrNewer    = errors.New("the vault was written by a newer program")
	ErrNotSafe  = errors.New("SQLite does not keep what it must promise")
	ErrDamaged  = errors.New("the vault is damaged")
	ErrClosed   = errors.New("the vault is closed")
	// ErrSetting means that a setting's key or value cannot be kept.
	ErrSetting = errors.New("not a usable setting")
)

// Options open a vault. Dir and Keys are needed.
type Options struct {
	Dir     string        // the vault's own folder; made when missing
	Keys    []keys.Source // tried in this order
	Version string        // of the program, for the log
	// Terminal tells the terminal's id for Stats; nil or "" before enrolment. The
	// log's origin does not depend on it, see Vault.Origin.
	Terminal func() string
	Now      func() time.Time // nil = time.Now
	Rand     io.Reader        // nil = crypto/rand
	// FreeBytes tells the free bytes of the disk under a folder; nil = the system.
	FreeBytes func(dir string) (int64, error)
	// MinFree is what must be free for a new case to begin, bytes; 0 =
	// DefaultMinFree. Submit itself uses up to half of it, so that a case that
	// could begin can also be saved.
	MinFree int64
	Logger  *slog.Logger  // nil = none
	FS      cryptfile.FS  // nil = the system's; then a lock keeps others out
	Mono    func() int64  // ns since boot; nil = the system's
	BootID  func() string // names this boot; nil = the system's

	synchronous int   // 0 = FULL; a test shows that less loses
	bigCheck    int64 // 0 = bigCheck
	keepWAL     bool  // never empty the WAL: a test shows what stays in it then
	powersafe   bool  // claimed of the disk; a test shows that this loses
	blind       blindness
	walPages    int // after which the WAL is emptied; 0 = as prepare says
}

// DefaultMinFree is what must be free for a new case to begin, bytes.
const DefaultMinFree = 200 << 20

// Vault is an open vault.
type Vault struct {
	o      Options
	fs     cryptfile.FS
	log    *slog.Logger
	lock   *os.File
	mount  *cryptfile.Mount
	file   string        // name of the database, see Rekey
	ring   *keyring.Ring // holds the key of the mount
	use    int           // which key of the ring
	kek    *keys.Secret  // what the source gave; wiped when Open returns
	db     *sql.DB
	secret []byte // of this vault, for derived keys; kept inside the database
	owner  []byte // key of OwnerIndex
	sign   *seal.PrivateKey
	origin string
	source keys.Found // that opened it; its key is in kek
	half   bool       // a rotation broke off
	isNew  bool
	clean  bool // the last program closed it properly
	toldMu gosync.Mutex
	told   []Incident

	// logMu is held for writing while records are pruned, for reading by whoever
	// walks over them; it is taken before mu.
	logMu gosync.RWMutex

	resting resting

	mu        gosync.Mutex // one change after the other; guards what follows
	closed    bool
	tree      *oplog.Tree
	start     *oplog.Tree // what the log begins after: empty, or what was pruned
	chain     *oplog.Chain
	quiet     bool     // nothing but checkpoints since the last checkpoint
	condemned []string // scans of submissions whose commit failed
	unswept   bool     // scans that nobody needs may be there after this run
}

// IncidentKind is the closed set of incidents.
type IncidentKind string

// Incident kinds.
const (
	IncidentDamaged IncidentKind = "damaged" // the database was set aside
	IncidentMissing IncidentKind = "missing" // the database was gone
	IncidentLost    IncidentKind = "scans"   // scans that a case needs are not there
	IncidentFound   IncidentKind = "check"   // the night's check found damage
	IncidentLog     IncidentKind = "log"     // the log does not verify
	IncidentCases   IncidentKind = "cases"   // cases are not what the log says of them
)

// Incident is something that staff and the county must hear of.
type Incident struct {
	Kind   IncidentKind
	At     time.Time
	Text   string   // plain Chinese
	Detail string   // technical
	Aside  []string // names of what was set aside, in the vault's folder
}

// Incidents tells what was found wrong when the vault was opened, and by Check,
// LogVerify and Audit since.
func (v *Vault) Incidents() []Incident {
	v.toldMu.Lock()
	defer v.toldMu.Unlock()
	return append([]Incident(nil), v.told...)
}

// Origin is the origin of the log's checkpoints and the name of their signer:
// "cunban/log-" and the first 8 digits of the log key's id. It stays what it is
// for the life of the vault, before and after enrolment.
func (v *Vault) Origin() string { return v.origin }

// PublicKey is the key that signs the log. The private part was made when the
// vault was and never leaves it.
func (v *Vault) PublicKey() *seal.PublicKey { return v.sign.Public() }

// Clean tells whether the program before this one closed the vault; true for a
// new vault.
func (v *Vault) Clean() bool { return v.clean }

// New tells whether this start made the vault.
func (v *Vault) New() bool { return v.isNew }

func (o *Options) fill() error {
	if o.Dir == "" || len(o.Keys) == 0 {
		return errors.New("open the vault: no folder or no key source")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	o.Rand = &lockedReader{r: o.Rand}
	if o.FreeBytes == nil {
		o.FreeBytes = freeBytes
	}
	if o.MinFree <= 0 {
		o.MinFree = DefaultMinFree
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Mono == nil {
		o.Mono = sinceBoot
	}
	if o.BootID == nil {
		id := bootID()
		o.BootID = func() string { return id }
	}
	if o.synchronous == 0 {
		o.synchronous = syncFull
	}
	if o.bigCheck == 0 {
		o.bigCheck = bigCheck
	}
	return nil
}

// lockedReader makes a reader usable from everywhere: SQLite asks for random
// bytes while a method does.
type lockedReader struct {
	mu gosync.Mutex
	r  io.Reader
}

func (l *lockedReader) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.r.Read(p)
}

// fail wraps an error with what was attempted, and with what it means to the
// caller where SQLite only says "I/O error".
func (v *Vault) fail(what string, err error) error {
	if err == nil {
		return nil
	}
	under := v.mount.Failure()
	var se sqlite3.Error
	isSQL := errors.As(err, &se)
	switch {
	case cryptfile.IsFull(err), isSQL && cryptfile.IsFull(under), isSQL && se.Code == sqlite3.ErrFull:
		if !errors.Is(err, cases.ErrDiskFull) {
			err = fmt.Errorf("%w: %w", cases.ErrDiskFull, err)
		}
	case isSQL && (se.Code == sqlite3.ErrCorrupt || se.Code == sqlite3.ErrNotADB):
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if isSQL && under != nil {
		err = fmt.Errorf("%w (%w)", err, under)
	}
	return fmt.Errorf("vault: %s: %w", what, err)
}

// change is one transaction: rows, log records and tree state together.
type change struct {
	v     *Vault
	tx    tx
	now   time.Time
	tree  *oplog.Tree
	chain *oplog.Chain
	quiet bool
	wrote bool // a record was added
}

// change runs f in one transaction and returns after the commit is on the disk.
// When anything fails, nothing happened. A ctx that ends keeps a change from
// beginning; one that has begun is finished, which takes milliseconds.
func (v *Vault) change(ctx context.Context, what string, f func(c *change) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("vault: %s: %w", what, err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.changeLocked(what, f)
}

func (v *Vault) changeLocked(what string, f func(c *change) error) error {
	if v.closed {
		return fmt.Errorf("vault: %s: %w", what, ErrClosed)
	}
	tx, err := begin(v.db)
	if err != nil {
		return v.fail(what, err)
	}
	c := &change{v: v, tx: tx, now: v.o.Now(), tree: v.tree.Clone(), chain: v.chain.Clone(), quiet: v.quiet}
	err = f(c)
	if err == nil && c.wrote {
		err = c.saveLog()
	}
	if err != nil {
		c.chain.Wipe()
		if e := tx.Rollback(); e != nil {
			err = errors.Join(err, e)
		}
		return v.fail(what, err)
	}
	if err := tx.Commit(); err != nil {
		c.chain.Wipe()
		return v.fail(what, err)
	}
	v.chain.Wipe()
	v.tree, v.chain, v.quiet = c.tree, c.chain, c.quiet
	v.sweepCondemned()
	v.changed()
	return nil
}

// errNothing ends a change that turned out to be none.
var errNothing = errors.New("nothing to change")

// changeIf is change for an f that may find nothing to do and return errNothing.
func (v *Vault) changeIf(ctx context.Context, what string, f func(c *change) error) error {
	err := v.change(ctx, what, f)
	if errors.Is(err, errNothing) {
		return nil
	}
	return err
}

// exec runs a statement of a change.
func (c *change) exec(query string, args ...any) error {
	_, err := c.tx.Exec(query, args...)
	return err
}

// reader hands out the database for reading, unless the vault is closed.
func (v *Vault) reader(ctx context.Context, what string) (*sql.DB, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	err := ctx.Err()
	if v.closed {
		err = ErrClosed
	}
	if err != nil {
		return nil, fmt.Errorf("vault: %s: %w", what, err)
	}
	return v.db, nil
}
