package vault

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql/driver"
	"encoding/binary"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"cunban/kiosk/cases"
	"cunban/kiosk/oplog"
	"cunban/kiosk/resident"
	"cunban/kiosk/seal"
	"cunban/kiosk/vault/keys"
)

// drafts makes finished forms for programs without a test around them.
type drafts struct {
	desk   cases.Desk
	number resident.IDNumber
}

func newDrafts(v *Vault) *drafts {
	county, err := seal.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	n, err := resident.ParseIDNumber(zhang)
	if err != nil {
		panic(err)
	}
	return &drafts{cases.Desk{Store: v, CountyKey: county.Public(), Rand: rand.Reader, Now: time.Now}, n}
}

func (d *drafts) next() (cases.Draft, error) {
	id, err := cases.NewID(rand.Reader)
	return cases.Draft{
		ID: id, Revision: 1, Service: "S01", ServiceName: "城乡居民养老保险参保登记", Catalogue: "2026.1",
		Claim:   resident.Claim{Source: resident.FromTyped, Number: d.number, Name: resident.NewName(zhangName)},
		Answers: []byte(`{"phone":"13800000000"}`), Region: "140105001001", StartedAt: time.Now(), Mode: cases.ModeSelf,
		Actor: cases.Actor{Role: cases.RoleResident, Session: 1},
	}, err
}

// submissions makes n sealed cases beforehand, so that a benchmark measures the
// vault alone.
func submissions(tb testing.TB, n int) []cases.Submission {
	tb.Helper()
	out := make([]cases.Submission, n)
	for i := range out {
		id, err := cases.NewID(rand.Reader)
		must(tb, err)
		body := make([]byte, 1500)
		must(tb, readRandom(body))
		out[i] = cases.Submission{
			Case: cases.Case{ID: id, Revision: 1, Service: "S01", ServiceName: "城乡居民养老保险参保登记", Catalogue: "2026.1",
				State: cases.Saved, Owner: seal.Digest([]byte(id)), Region: "140105001001", Village: "某村", SavedAt: time.Now(),
				UpdatedAt: time.Now(), Mode: cases.ModeSelf, BodyDigest: seal.Digest(body)},
			KeyID: "0123456789abcdef", Envelope: bytes.Repeat([]byte{1}, 160), Body: body, LogPrivate: bytes.Repeat([]byte{2}, 120),
			Actor: cases.Actor{Role: cases.RoleResident, Session: 1},
		}
	}
	return out
}

// digested gives a submission the digest of its body.
func digested(s cases.Submission) cases.Submission {
	s.Case.BodyDigest = seal.Digest(s.Body)
	return s
}

func readRandom(p []byte) error { _, err := rand.Read(p); return err }

func benchSubmit(b *testing.B, v *Vault) {
	subs := submissions(b, b.N)
	took := make([]time.Duration, b.N)
	b.ResetTimer()
	for i, s := range subs {
		at := time.Now()
		if _, err := v.Submit(context.Background(), s); err != nil {
			b.Fatal(err)
		}
		took[i] = time.Since(at)
	}
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(took[(b.N-1)/2]), "p50-ns")
	b.ReportMetric(float64(took[(b.N-1)*99/100]), "p99-ns")
}

// BenchmarkSubmit and BenchmarkPlainSQLite do the same work with the same
// durability, the second on a plain file: the difference is what encryption
// costs.
func BenchmarkSubmit(b *testing.B) {
	v, err := Open(context.Background(), Options{Dir: filepath.Join(b.TempDir(), "vault"), Keys: []keys.Source{newMemKey()}})
	must(b, err)
	benchSubmit(b, v)
	must(b, v.Close(context.Background()))
}

func BenchmarkPlainSQLite(b *testing.B) {
	v, err := openPlain(filepath.Join(b.TempDir(), "plain"))
	must(b, err)
	benchSubmit(b, v)
	must(b, v.Close(context.Background()))
}

// openPlain opens a vault on SQLite's own VFS, with the same settings.
func openPlain(dir string) (*Vault, error) {
	return openPlainWith(dir, func(c connector) driver.Connector { return c })
}

// benchRecords is how long the log of the benchmarks is.
const benchRecords = 100_000

// BenchmarkTreeAlone is the rival of BenchmarkLogVerify: the Merkle tree of
// x/mod (SHA-256, in hardware on most machines) over records of the same size,
// in memory, with no database, no decoding and no checkpoints.
func BenchmarkTreeAlone(b *testing.B) {
	line := make([]byte, usualLine)
	for b.Loop() {
		hashes := make([]tlog.Hash, 0, 2*benchRecords)
		read := tlog.HashReaderFunc(func(ids []int64) ([]tlog.Hash, error) {
			out := make([]tlog.Hash, len(ids))
			for i, id := range ids {
				out[i] = hashes[id]
			}
			return out, nil
		})
		for i := range int64(benchRecords) {
			binary.LittleEndian.PutUint64(line, uint64(i))
			more, err := tlog.StoredHashes(i, line, read)
			if err != nil {
				b.Fatal(err)
			}
			hashes = append(hashes, more...)
		}
		if _, err := tlog.TreeHash(benchRecords, read); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(benchRecords)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkLogVerify tells how many records a second are checked.
func BenchmarkLogVerify(b *testing.B) {
	const records = benchRecords
	ctx := context.Background()
	v, err := Open(ctx, Options{Dir: filepath.Join(b.TempDir(), "vault"), Keys: []keys.Source{newMemKey()}, Version: "bench"})
	must(b, err)
	must(b, v.change(ctx, "fill", func(c *change) error {
		for i := range records {
			if _, err := c.record(oplog.Entry{Event: oplog.QueueRetry, CaseID: "0195f3a2-0000-7000-8000-000000000000",
				Fields: map[string]string{"service": "S01", "revision": "1", "attempts": strconv.Itoa(i)}}, nil); err != nil {
				return err
			}
		}
		return nil
	}))
	for b.Loop() {
		if _, err := v.LogVerify(ctx, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(records)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
	must(b, v.Close(ctx))
}
