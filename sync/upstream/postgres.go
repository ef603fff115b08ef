package upstream

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	gosync "sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// Limits of the PostgreSQL store.
const (
	pgConns   = 16
	pgRetries = 20 // of one update whose transaction collides
)

// pgStore is Store on PostgreSQL; several gateway processes may share one
// database.
type pgStore struct {
	db    *sql.DB
	cache gosync.Map // statement with ? → with $1
}

// OpenPostgres opens the store and makes its tables. Errors: ErrNotDurable,
// ErrNewer.
func OpenPostgres(ctx context.Context, dsn string) (Store, error) {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	if cfg.RuntimeParams == nil {
		cfg.RuntimeParams = map[string]string{}
	}
	cfg.RuntimeParams["synchronous_commit"] = "on"
	cfg.RuntimeParams["application_name"] = "cunban upstream"
	s := &pgStore{db: stdlib.OpenDB(*cfg)}
	s.db.SetMaxOpenConns(pgConns)
	s.db.SetMaxIdleConns(pgConns)
	if err := s.prepare(ctx); err != nil {
		_ = s.db.Close()
		return nil, err
	}
	return s, nil
}

func (s *pgStore) prepare(ctx context.Context) error {
	for _, setting := range []string{"fsync", "synchronous_commit", "full_page_writes"} {
		var got string
		if err := s.db.QueryRowContext(ctx, "SHOW "+setting).Scan(&got); err != nil {
			return fmt.Errorf("open the store: %w", err)
		}
		if got != "on" {
			return fmt.Errorf("%w: %s is %s", ErrNotDurable, setting, got)
		}
	}
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("open the store: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // no effect after Commit
	// Gateways that start at once make the tables one after the other.
	if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock(7206)"); err != nil {
		return fmt.Errorf("open the store: %w", err)
	}
	types := strings.NewReplacer(" BLOB", " BYTEA", " INTEGER", " BIGINT")
	if err := migrate(&sqlTx{ctx: ctx, r: tx, rebind: func(q string) string { return types.Replace(s.rebind(q)) }}); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("open the store: %w", err)
	}
	return nil
}

// rebind numbers the parameters. No statement has a ? in a string.
func (s *pgStore) rebind(q string) string {
	if v, ok := s.cache.Load(q); ok {
		return v.(string)
	}
	var b strings.Builder
	n := 0
	for _, r := range q {
		if r == '?' {
			n++
			b.WriteString("$" + strconv.Itoa(n))
			continue
		}
		b.WriteRune(r)
	}
	s.cache.Store(q, b.String())
	return b.String()
}

func (s *pgStore) View(ctx context.Context, fn func(Tx) error) error {
	return viewSQL(ctx, s.db, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}, s.rebind, fn)
}

// Update runs under READ COMMITTED with locks: the getters lock what they
// return, and the name of what they did not find; counters lock until the end.
// Deadlocks and collisions are run again.
func (s *pgStore) Update(ctx context.Context, fn func(Tx) error) error {
	for n := 0; ; n++ {
		err := s.once(ctx, fn)
		if err == nil || n >= pgRetries || !collision(err) || ctx.Err() != nil {
			return err
		}
	}
}

func (s *pgStore) once(ctx context.Context, fn func(Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("store: begin: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // no effect after Commit
	if err := fn(&sqlTx{ctx: ctx, r: tx, rebind: s.rebind, lock: " FOR UPDATE"}); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("store: commit: %w", err)
	}
	return nil
}

// collision reports whether running the transaction again may succeed.
func collision(err error) bool {
	var pe *pgconn.PgError
	if !errors.As(err, &pe) {
		return false
	}
	switch pe.Code {
	case "40001", "40P01", "23505": // serialization, deadlock, unique
		return true
	}
	return false
}

func (s *pgStore) Close() error { return s.db.Close() }
