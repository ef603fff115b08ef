package oplog

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"cunban/kiosk/seal"
)

// TestExportCarriesSeeds: the county checks every MAC of an export with its
// private key, of a pruned one too; without the key nothing changes.
func TestExportCarriesSeeds(t *testing.T) {
	s := newSample(t, 12, 5, 9, 12)
	for _, first := range []int64{0, 3} {
		k := s.keys()
		rep, err := VerifyExport(bytes.NewReader(s.export(t, first)), k)
		if err != nil || rep.MACs != 0 {
			t.Fatalf("without a key: %+v, %v", rep, err)
		}
		k.Seal = []*seal.PrivateKey{newKey(t)}
		if rep, err = VerifyExport(bytes.NewReader(s.export(t, first)), k); err != nil || rep.MACs != 0 {
			t.Fatalf("with another key: %+v, %v", rep, err)
		}
		k.Seal = append(k.Seal, s.county)
		if rep, err = VerifyExport(bytes.NewReader(s.export(t, first)), k); err != nil || rep.MACs != 12-first {
			t.Fatalf("with the county's key: %+v, %v", rep, err)
		}
	}
	// Another seed in its place, made out to the county by somebody else.
	k := s.keys()
	k.Seal = []*seal.PrivateKey{s.county}
	other := newSample(t, 1)
	env, err := s.county.Public().Envelop(strings.NewReader(strings.Repeat("r", 4096)), other.seed, SeedAAD(s.origin, 0))
	if err != nil {
		t.Fatal(err)
	}
	good := s.seeds
	s.seeds = []Seed{{First: 0, KeyID: s.county.Public().ID(), Envelope: env}}
	if _, err := VerifyExport(bytes.NewReader(s.export(t, 0)), k); AsBad(err) == nil || AsBad(err).Kind != BadMAC || AsBad(err).Seq != 0 {
		t.Errorf("another seed: %v", err)
	}
	// One that was moved from elsewhere does not open.
	s.seeds = []Seed{{First: 1, KeyID: good[0].KeyID, Envelope: good[0].Envelope}}
	if _, err := VerifyExport(bytes.NewReader(s.export(t, 0)), k); !errors.Is(err, seal.ErrOpen) {
		t.Errorf("a moved seed: %v", err)
	}
}

// TestSeedRecordCommits: a log.seed record names the one envelope that may stand
// there.
func TestSeedRecordCommits(t *testing.T) {
	seed := Seed{First: 7, KeyID: "k", Envelope: []byte("envelope")}
	e := Entry{Event: LogSeed, Fields: map[string]string{"key": "k", "envelope": seed.Digest()}}
	if err := e.Normal().Check(); err != nil {
		t.Fatal(err)
	}
	r := e.Record(Stamp{Seq: 7})
	if err := CheckSeed(r, []Seed{{First: 3, Envelope: []byte("x")}, seed}); err != nil {
		t.Error(err)
	}
	for name, seeds := range map[string][]Seed{"none": nil, "another": {{First: 7, Envelope: []byte("x")}}, "elsewhere": {{First: 8, Envelope: seed.Envelope}}} {
		if b := AsBad(CheckSeed(r, seeds)); b == nil || b.Seq != 7 {
			t.Errorf("%s was taken", name)
		}
	}
	r.Event = CaseSubmit
	if err := CheckSeed(r, nil); err != nil {
		t.Error(err)
	}
}

func TestSeedLines(t *testing.T) {
	s := Seed{First: 7, KeyID: "0123456789abcdef", Envelope: []byte{1, 2, 3}}
	if got, ok := parseSeed(s.line()); !ok || got.First != 7 || got.KeyID != s.KeyID || !bytes.Equal(got.Envelope, s.Envelope) {
		t.Fatalf("%q is read as %+v, %t", s.line(), got, ok)
	}
	b64 := base64.StdEncoding.EncodeToString(s.Envelope)
	for _, bad := range []string{"", "seed", "seed 7 k", "seed -1 k " + b64, "seed 07 k " + b64, "seed 7 k " + b64 + " x", "seed 7 k !", "sead 7 k " + b64, "seed 7  " + b64, "seed 7 k "} {
		if s, ok := parseSeed(bad); ok {
			t.Errorf("%q is taken for %+v", bad, s)
		}
	}
}
