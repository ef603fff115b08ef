package oplog

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"cunban/kiosk/seal"
)

// Seed is where a chain of MAC keys begins: at a record, from a seed that only
// the county can open. The record, a log.seed, commits to the envelope, so that
// nobody can put another chain in its place later.
type Seed struct {
	First    int64  // the first record whose MAC is of this chain
	KeyID    string // of the county's key that the envelope is made out to
	Envelope []byte // SM2, see SeedAAD
}

// Digest is what the log.seed record says of the envelope, lower-case hex.
func (s Seed) Digest() string { return hex.EncodeToString(seal.Digest(s.Envelope)) }

// maxSeeds is how many chains an export may have; each is a change of the
// county's key, so that a handful is much.
const maxSeeds = 1000

// line is the seed's line in an export, without its end.
func (s Seed) line() string {
	return fmt.Sprintf("%s%d %s %s", seedPrefix, s.First, s.KeyID, base64.StdEncoding.EncodeToString(s.Envelope))
}

const seedPrefix = "seed "

// parseSeed reads what line wrote, in that one form.
func parseSeed(text string) (s Seed, ok bool) {
	rest, ok := strings.CutPrefix(text, seedPrefix)
	f := strings.Split(rest, " ")
	if !ok || len(f) != 3 || f[1] == "" {
		return Seed{}, false
	}
	var err1, err2 error
	s.First, err1 = strconv.ParseInt(f[0], 10, 64)
	s.Envelope, err2 = base64.StdEncoding.Strict().DecodeString(f[2])
	s.KeyID = f[1]
	return s, err1 == nil && err2 == nil && s.First >= 0 && len(s.Envelope) > 0 && s.line() == text
}

// OpenSeeds opens the seeds that are made out to one of the county's private
// keys. Of the others the key is zero: from there on MACs cannot be looked at.
// Errors: seal.ErrOpen for an envelope that its own key does not open.
func OpenSeeds(origin string, seeds []Seed, county ...*seal.PrivateKey) (map[int64]seal.Key, error) {
	out := map[int64]seal.Key{}
	for _, s := range seeds {
		out[s.First] = seal.Key{}
		for _, k := range county {
			if k.Public().ID() != s.KeyID {
				continue
			}
			key, err := k.OpenEnvelope(s.Envelope, SeedAAD(origin, s.First))
			if err != nil {
				return nil, fmt.Errorf("MAC seed of record %d: %w", s.First, err)
			}
			out[s.First] = key
		}
	}
	return out, nil
}

// chainAt is the chain that is under way before a record: that of the last seed
// before it. nil where there is none, or one that could not be opened.
func chainAt(seeds map[int64]seal.Key, at int64) *Chain {
	from := int64(-1)
	for first := range seeds {
		if first < at {
			from = max(from, first)
		}
	}
	if from < 0 || seeds[from].IsZero() {
		return nil
	}
	c := NewChain(seeds[from])
	for range at - from {
		c.step()
	}
	return c
}

// CheckSeed compares a log.seed record with the seeds that are there. Errors:
// *Bad; nil for any other record.
func CheckSeed(r Record, seeds []Seed) error {
	if r.Event != LogSeed {
		return nil
	}
	for _, s := range seeds {
		if s.First == r.Seq && s.Digest() == r.Fields["envelope"] {
			return nil
		}
	}
	return &Bad{Seq: r.Seq, Last: r.Seq, Kind: BadState, What: "the MAC seed that it tells of is not there, or is another one"}
}
