package upstream_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"cunban/kiosk/cases"
	"cunban/kiosk/seal"
	"cunban/sync/upstream"
	"cunban/sync/wire"
)

// BenchmarkCases measures durable cases per second over mutual TLS: single PUTs
// by many connections, and batches. Sealing is done beforehand, by the
// terminals' side.
func BenchmarkCases(b *testing.B) {
	for _, size := range []int{1, 50} {
		name := "single"
		if size > 1 {
			name = "batch"
		}
		b.Run(name, func(b *testing.B) { benchCases(b, size) })
	}
}

func benchCases(b *testing.B, size int) {
	c := startCounty(b, b.TempDir(), autoApprove)
	x := c.enrol("SN-1", region1)
	key := c.Keys().Seal[0].Public()
	bodies := make([][]byte, b.N)
	paths := make([]string, b.N)
	for i := range bodies {
		var batch wire.Batch
		for range size {
			batch.Items = append(batch.Items, smallCase(b, key))
		}
		var err error
		if size == 1 {
			bodies[i], err = json.Marshal(batch.Items[0])
			paths[i] = wire.PathCase(x.id, batch.Items[0].CaseID, 1)
		} else {
			bodies[i], err = json.Marshal(batch)
			paths[i] = wire.PathBatch(x.id)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	header := http.Header{"Content-Type": {wire.TypeJSON}}
	method := "PUT"
	if size > 1 {
		method = "POST"
	}
	var next atomic.Int64
	b.SetParallelism(64)
	b.ResetTimer()
	began := time.Now()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := next.Add(1) - 1
			status, _, body, err := x.try(method, paths[i], header, bodies[i])
			if err != nil || status >= 300 {
				b.Errorf("%d %s %v", status, body, err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N*size)/time.Since(began).Seconds(), "cases/s")
}

func smallCase(b *testing.B, county *seal.PublicKey) wire.CasePut {
	b.Helper()
	id, err := cases.NewID(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	k, err := seal.NewKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	body := cases.Body{Version: 1, CaseID: id, Revision: 1, Service: "S01", Region: region1, Mode: cases.ModeSelf, Demo: true,
		Applicant: cases.Person{Number: zhangNumber, Name: zhangName}, Answers: make(json.RawMessage, 0, 1200)}
	body.Answers = append(body.Answers, `{"fields":{},"materials":{}}`...)
	plain, err := json.Marshal(body)
	if err != nil {
		b.Fatal(err)
	}
	sealed, err := seal.Seal(rand.Reader, k, plain, cases.BodyAAD(id, 1, county.ID()))
	if err != nil {
		b.Fatal(err)
	}
	env, err := county.Envelop(rand.Reader, k, cases.EnvelopeAAD(id, 1))
	if err != nil {
		b.Fatal(err)
	}
	now := time.Now().UTC()
	return wire.CasePut{CaseID: id, Revision: 1, Service: "S01", Catalogue: "2026.11.1", Region: region1, StartedAt: now, SavedAt: now,
		Mode: "self", Demo: true, KeyID: county.ID(), Envelope: env, Body: sealed, Digest: wire.Hex(seal.Digest(sealed))}
}

// BenchmarkUpdate measures what one fsync costs and what sharing it saves.
func BenchmarkUpdate(b *testing.B) {
	s, err := upstream.OpenSQLite(b.Context(), b.TempDir()+"/x.db")
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := s.Update(context.Background(), func(tx upstream.Tx) error { _, err := tx.Counter("x"); return err }); err != nil {
				b.Error(err)
			}
		}
	})
}
