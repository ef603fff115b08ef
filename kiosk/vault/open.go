package vault

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mattn/go-sqlite3"

	"cunban/kiosk/oplog"
	"cunban/kiosk/seal"
	"cunban/kiosk/vault/cryptfile"
	"cunban/kiosk/vault/keys"
)

// Names in the vault's folder.
const (
	dbName    = "vault.db"
	checkName = "vault.check" // proves a key when the database's header cannot
	scansName = "scans"
	asideMark = ".damaged-"
)

// sqliteFiles are the database and what SQLite keeps beside it.
var sqliteFiles = []string{dbName, dbName + "-wal", dbName + "-journal"}

// Names in the table meta.
const (
	metaSecret  = "secret"
	metaSign    = "log/sign-key"
	metaClean   = "clean"
	metaSuspect = "suspect" // there when Check found damage
	metaOwed    = "sweep"   // there when the next start has to sweep, clean or not
)

const (
	infoOwner = "cunban vault owner index 1"
	// bigCheck is up to which size the whole database is checked at start,
	// bytes: some 35 ms. Beyond it people would wait for it (64 MiB took 0.3 s):
	// then the small tables are checked, and the others by whatever reads them, by
	// LogVerify, and at night by Check; when that found damage, the next start
	// looks at everything.
	bigCheck = 8 << 20
)

// Open opens the vault, or makes it when the folder holds none. Errors:
// ErrLocked, ErrWrongKey, ErrNewer, ErrNotSafe, keys.ErrSource, keys.ErrNoKey
// (there is a vault, but no source has its key), cases.ErrDiskFull. A damaged
// database is not an error: it is set aside, and Incidents tells.
func Open(ctx context.Context, o Options) (*Vault, error) {
	v, err := open(ctx, o)
	if err != nil {
		return nil, err
	}
	v.kek.Wipe()
	v.startResting()
	return v, nil
}

// open is Open that keeps the source's key.
func open(ctx context.Context, o Options) (_ *Vault, err error) {
	if err := o.fill(); err != nil {
		return nil, err
	}
	v := &Vault{o: o, fs: o.FS, log: o.Logger, file: dbName}
	defer func() {
		if err != nil {
			v.release()
		}
	}()
	if v.fs == nil {
		v.fs = cryptfile.OS{}
	}
	if err := errors.Join(cryptfile.MakeDir(v.fs, o.Dir), cryptfile.MakeDir(v.fs, v.path(scansName))); err != nil {
		return nil, v.fail("make the vault's folder", err)
	}
	if o.FS == nil {
		if v.lock, err = lockDir(o.Dir); err != nil {
			return nil, err
		}
	}
	if err := v.unlock(ctx); err != nil {
		return nil, err
	}
	if err := v.openDB(ctx); err != nil {
		return nil, err
	}
	if err := v.begin(ctx); err != nil {
		return nil, err
	}
	return v, nil
}

func (v *Vault) path(name ...string) string {
	return filepath.Join(append([]string{v.o.Dir}, name...)...)
}

func (v *Vault) exists(name string) (bool, error) {
	_, err := v.fs.Size(v.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// openDB opens the database; a damaged one is set aside and a new one begins.
func (v *Vault) openDB(ctx context.Context) error {
	err := v.tryDB(ctx)
	if err != nil && isDamage(err) {
		// A read that failed once looks like damage to SQLite: only what is there
		// at a second look counts.
		err = errors.Join(v.closeDB(), v.tryDB(ctx))
	}
	if err == nil || !isDamage(err) {
		return err
	}
	v.closeDB()
	if err := v.setAside(err); err != nil {
		return err
	}
	if err := cryptfile.Init(v.fs, v.path(dbName), v.mount.Key, v.o.Rand); err != nil {
		return v.fail("make a new database", err)
	}
	return v.tryDB(ctx)
}

// isDamage reports whether an error tells of a damaged database: by SQLite's
// words, by a WAL whose header is not of this key though the database's is, or
// by content that does not fit together.
func isDamage(err error) bool {
	return errors.Is(err, ErrDamaged) || errors.Is(err, cryptfile.ErrWrongKey) || errors.Is(err, oplog.ErrTree) ||
		errors.Is(err, seal.ErrKey)
}

func (v *Vault) tryDB(ctx context.Context) error {
	// SQLite takes what it reads in a WAL for what is on the disk, moves it into
	// the database, and so would leave neither whole if the power went then.
	if err := cryptfile.Renew(v.fs, v.path(v.file+"-wal")); err != nil {
		return v.fail("renew what the last program left", err)
	}
	uri, err := v.mount.Attach(v.file)
	if err != nil {
		return err
	}
	uri += "&_stmt_cache_size=64&_txlock=immediate&_busy_timeout=0"
	v.db = sql.OpenDB(connector{uri, &sqlite3.SQLiteDriver{ConnectHook: func(c *sqlite3.SQLiteConn) error {
		if err := prepare(c, v.o.synchronous); err != nil || v.o.walPages == 0 {
			return err
		}
		_, err := c.Exec(fmt.Sprintf("PRAGMA wal_autocheckpoint=%d", v.o.walPages), nil)
		return err
	}}})
	v.db.SetMaxOpenConns(1)
	v.db.SetConnMaxIdleTime(0)
	if err := v.db.PingContext(ctx); err != nil {
		return v.fail("open the database", err)
	}
	size, err := v.fs.Size(v.path(v.file))
	if err != nil {
		return fmt.Errorf("vault: open the database: %w", err)
	}
	if err := v.check(ctx, size <= v.o.bigCheck || v.suspect(ctx)); err != nil {
		return v.fail("check the database", err)
	}
	if err := migrate(ctx, v.db); err != nil {
		return v.fail("open the database", err)
	}
	return v.fail("read the database", v.load())
}

// suspect reports whether the night's check found damage; where even that
// cannot be read, the check of the small tables says so.
func (v *Vault) suspect(ctx context.Context) bool {
	var n int
	return v.db.QueryRowContext(ctx, "SELECT count(*) FROM meta WHERE key=?", metaSuspect).Scan(&n) == nil && n > 0
}

// connector opens connections with a driver of its own, so that nothing is
// registered for the whole process.
type connector struct {
	uri string
	d   *sqlite3.SQLiteDriver
}

func (c connector) Connect(context.Context) (driver.Conn, error) { return c.d.Open(c.uri) }
func (c connector) Driver() driver.Driver                        { return c.d }

// check runs SQLite's quick_check: over everything while that takes no time,
// over the small tables otherwise.
func (v *Vault) check(ctx context.Context, everything bool) error {
	queries := []string{"PRAGMA quick_check(1)"}
	if !everything {
		queries = nil
		for _, table := range smallTables {
			var n int
			if err := v.db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema WHERE name=?", table).Scan(&n); err != nil {
				return err
			}
			if n > 0 {
				queries = append(queries, "PRAGMA quick_check("+table+")")
			}
		}
	}
	for _, q := range queries {
		var word string
		if err := v.db.QueryRowContext(ctx, q).Scan(&word); err != nil {
			return err
		}
		if word != "ok" {
			return fmt.Errorf("%w: %s", ErrDamaged, word)
		}
	}
	return nil
}

// smallTables are those whose size does not grow with the cases.
var smallTables = []string{"meta", "settings", "log_state", "log_seeds", "counts"}

// load reads what the vault keeps in memory, and makes it when the database is
// new.
func (v *Vault) load() error {
	var tree, key []byte
	err := v.db.QueryRow("SELECT tree, mac_key, quiet FROM log_state").Scan(&tree, &key, &v.quiet)
	if errors.Is(err, sql.ErrNoRows) {
		return v.create()
	}
	if err != nil {
		return err
	}
	defer clear(key)
	if v.tree, err = oplog.UnmarshalTree(tree); err != nil {
		return err
	}
	if v.chain, err = oplog.ChainFrom(key); err != nil {
		return err
	}
	if v.start, err = readStart(v.db); err != nil {
		return err
	}
	meta := map[string][]byte{}
	for _, k := range []string{metaSecret, metaSign, metaClean} {
		var val []byte
		if err := v.db.QueryRow("SELECT val FROM meta WHERE key=?", k).Scan(&val); err != nil {
			return fmt.Errorf("%w: meta %s: %w", ErrDamaged, k, err)
		}
		meta[k] = val
	}
	defer clear(meta[metaSign])
	v.secret = meta[metaSecret]
	v.clean = string(meta[metaClean]) == "1"
	if v.sign, err = seal.ParsePrivateKey(meta[metaSign]); err != nil {
		return err
	}
	v.derive()
	return nil
}

func (v *Vault) derive() {
	v.owner = ownerKey(v.secret)
	v.origin = oplog.Origin(v.sign.Public())
}

// ownerKey is the key of OwnerIndex in a vault with this secret.
func ownerKey(secret []byte) []byte { return seal.Derive(secret, infoOwner, seal.DigestSize) }

// create fills a new database: the log's key, the first MAC key (its seed is
// forgotten: there is no county yet to keep it for), and the vault's secret.
func (v *Vault) create() error {
	v.secret = make([]byte, keys.Size)
	if _, err := io.ReadFull(v.o.Rand, v.secret); err != nil {
		return fmt.Errorf("random secret: %w", err)
	}
	var err error
	if v.sign, err = seal.GenerateKey(v.o.Rand); err != nil {
		return err
	}
	pem, err := v.sign.PEM()
	if err != nil {
		return err
	}
	defer clear(pem)
	seed, err := seal.NewKey(v.o.Rand)
	if err != nil {
		return err
	}
	defer seed.Wipe()
	v.tree, v.start, v.chain, v.quiet, v.clean = &oplog.Tree{}, &oplog.Tree{}, oplog.NewChain(seed), false, true
	v.derive()
	return v.changeLocked("fill a new database", func(c *change) error {
		for k, val := range map[string][]byte{metaSecret: v.secret, metaSign: pem, metaClean: []byte("0")} {
			if err := c.exec("INSERT INTO meta(key, val) VALUES(?,?)", k, val); err != nil {
				return err
			}
		}
		c.wrote = true
		return nil
	})
}

// setAside renames everything of a damaged vault; nothing is deleted.
func (v *Vault) setAside(cause error) error {
	stamp := asideMark + v.o.Now().UTC().Format("20060102T150405.000Z")
	var names []string
	for _, name := range append(append([]string(nil), sqliteFiles...), scansName) {
		var have bool
		if name == scansName {
			es, err := v.fs.List(v.path(name))
			if err != nil {
				return fmt.Errorf("set the damaged vault aside: %w", err)
			}
			have = len(es) > 0
		} else if ok, err := v.exists(name); err != nil {
			return fmt.Errorf("set the damaged vault aside: %w", err)
		} else {
			have = ok
		}
		if !have {
			continue
		}
		if err := v.fs.Rename(v.path(name), v.path(name+stamp)); err != nil {
			return fmt.Errorf("set the damaged vault aside: %w", err)
		}
		names = append(names, name+stamp)
	}
	if err := errors.Join(v.fs.MkdirAll(v.path(scansName)), v.fs.SyncDir(v.o.Dir)); err != nil {
		return fmt.Errorf("set the damaged vault aside: %w", err)
	}
	v.tell(Incident{Kind: IncidentDamaged, Text: "本机数据文件损坏，已另存，没有删除，现在用的是新文件。终端会自己找回没有上传的办件，请看待传队列，并报告县里。",
		Detail: cause.Error(), Aside: names})
	return nil
}

func (v *Vault) tell(i Incident) {
	i.At = v.o.Now()
	v.toldMu.Lock()
	switch i.Kind {
	case IncidentFound, IncidentLog, IncidentCases: // night after night the same one
		v.told = slices.DeleteFunc(v.told, func(old Incident) bool { return old.Kind == i.Kind })
	case IncidentDamaged, IncidentMissing, IncidentLost:
	}
	v.told = append(v.told, i)
	v.toldMu.Unlock()
	v.log.Error("vault: incident", "kind", string(i.Kind), "detail", i.Detail, "aside", i.Aside)
}

// begin is the first change of a run: it notes the start, lets the leases of
// the last program go, and cleans up after it.
func (v *Vault) begin(ctx context.Context) error {
	swept, err := v.sweep(ctx)
	if err != nil {
		return err
	}
	if err := v.lookForScans(ctx); err != nil {
		return err
	}
	if !v.clean { // what was destroyed just before the cut may stand in the WAL
		if err := v.fail("empty the WAL", v.scrub()); err != nil {
			return err
		}
	}
	return v.change(ctx, "begin", func(c *change) error {
		if err := errors.Join(c.exec("UPDATE meta SET val=? WHERE key=?", []byte("0"), metaClean),
			c.exec("DELETE FROM meta WHERE key IN (?,?)", metaOwed, metaSuspect)); err != nil {
			return err
		}
		if err := c.exec("UPDATE outbox SET lease='', due=next, state=CASE WHEN sent=1 THEN 'sent' ELSE 'waiting' END" +
			" WHERE open=1 AND lease<>''"); err != nil {
			return err
		}
		for _, i := range v.told {
			if i.Kind == IncidentLost {
				continue
			}
			f := map[string]string{"file": dbName, "aside": clip(strings.Join(i.Aside, " "), maxLogValue), "reason": clip(i.Detail, maxLogValue)}
			if _, err := c.record(lawful(oplog.Entry{Event: oplog.VaultDamaged, Outcome: oplog.Failed, Fields: f}), nil); err != nil {
				return err
			}
		}
		if _, err := c.record(oplog.Entry{Event: oplog.VaultOpened, Fields: map[string]string{
			"key_source": v.source.Source, "strength": v.source.Strength, "created": fmt.Sprint(v.isNew), "size": fmt.Sprint(c.tree.Size()),
		}}, nil); err != nil {
			return err
		}
		if swept == 0 {
			return nil
		}
		_, err := c.record(oplog.Entry{Event: oplog.VaultSwept, Fields: map[string]string{"count": fmt.Sprint(swept)}}, nil)
		return err
	})
}

// Close signs a last checkpoint when something happened since the one before,
// closes the database and wipes the keys. Whoever waits for a method gets
// ErrClosed. It may be called again.
func (v *Vault) Close(ctx context.Context) error {
	v.resting.stop()
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return nil
	}
	err := v.lastChange()
	if ctx.Err() != nil {
		err = errors.Join(err, ctx.Err())
	}
	v.closed = true
	return errors.Join(err, v.release())
}

// lastChange signs what no checkpoint covers and notes that the program ended
// properly.
func (v *Vault) lastChange() error {
	if err := v.fence(); err != nil { // after a clean end nobody would sweep
		return err
	}
	return v.changeLocked("close", func(c *change) error {
		if !c.quiet {
			if _, err := c.sign(); err != nil {
				return err
			}
		}
		if v.unswept {
			if err := c.oweSweep(); err != nil {
				return err
			}
		}
		return c.exec("UPDATE meta SET val=? WHERE key=?", []byte("1"), metaClean)
	})
}

// release gives back everything, however far Open came.
func (v *Vault) release() error {
	err := v.closeDB()
	if v.mount != nil {
		v.mount.Key = nil
	}
	v.ring.Wipe()
	v.kek.Wipe()
	clear(v.secret)
	clear(v.owner)
	if v.chain != nil {
		v.chain.Wipe()
	}
	if v.lock != nil {
		err = errors.Join(err, unlockDir(v.lock))
		v.lock = nil
	}
	return err
}

func (v *Vault) closeDB() error {
	if v.db == nil {
		return nil
	}
	err := v.db.Close()
	v.db = nil
	v.mount.Detach()
	if err != nil {
		return fmt.Errorf("close the database: %w", err)
	}
	return nil
}
