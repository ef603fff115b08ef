package vault

import (
	"crypto/rand"
	"testing"
	"time"

	"cunban/kiosk/cases"
	"cunban/kiosk/seal"
	"cunban/kiosk/vault/cryptfile"
)

// watched is a file system that tells what a commit spends in it.
type watched struct {
	cryptfile.OS
	parts *parts
}

// parts is where the time of commits goes, while on is set.
type parts struct {
	on            bool
	sectors       int
	writes, syncs time.Duration
}

func (w watched) Open(name string) (cryptfile.File, error) {
	f, err := w.OS.Open(name)
	if err != nil {
		return nil, err
	}
	return watchedFile{f, w.parts}, nil
}

type watchedFile struct {
	cryptfile.File
	parts *parts
}

func (f watchedFile) WriteAt(p []byte, off int64) (int, error) {
	at := time.Now()
	n, err := f.File.WriteAt(p, off)
	if f.parts.on {
		f.parts.writes += time.Since(at)
		f.parts.sectors += len(p) / cryptfile.SectorSize
	}
	return n, err
}

func (f watchedFile) Sync() error {
	at := time.Now()
	err := f.File.Sync()
	if f.parts.on {
		f.parts.syncs += time.Since(at)
	}
	return err
}

// reportParts says where the time of commits and of submissions goes, as means:
// what the VFS does with the file, SM4-XTS of as many sectors, and what sealing
// a body of this size takes.
func reportParts(b *testing.B, p *parts, county *seal.PublicKey, body int) {
	b.Helper()
	n := float64(b.N)
	sec, err := seal.NewSectors(make([]byte, seal.SectorKeySize))
	must(b, err)
	sector := make([]byte, cryptfile.SectorSize)
	one := mean(func() { sec.Encrypt(sector, sector, 1) })
	b.ReportMetric(float64(p.sectors)/n, "sectors")
	b.ReportMetric(float64(p.sectors)/n*one, "xts-ns")
	b.ReportMetric(float64(p.writes.Nanoseconds())/n, "write-ns")
	b.ReportMetric(float64(p.syncs.Nanoseconds())/n, "fdatasync-ns")
	key, err := seal.NewKey(rand.Reader)
	must(b, err)
	aad := cases.EnvelopeAAD("0195f3a2-0000-7000-8000-000000000000", 1)
	b.ReportMetric(mean(func() { _, err := county.Envelop(rand.Reader, key, aad); must(b, err) }), "envelope-ns")
	plain := make([]byte, body)
	b.ReportMetric(mean(func() {
		sealed, err := seal.Seal(rand.Reader, key, plain, aad)
		must(b, err)
		seal.Digest(sealed)
	}), "sealing-ns")
}

// mean is how long f takes, ns.
func mean(f func()) float64 {
	const times = 500
	at := time.Now()
	for range times {
		f()
	}
	return float64(time.Since(at).Nanoseconds()) / times
}
