package oplog

import (
	"fmt"
	"strconv"

	"cunban/kiosk/seal"
)

// MACKeySize is the length of an evolving MAC key, bytes.
const MACKeySize = seal.DigestSize

// NextKey is the key of the next record: HMAC-SM3(key, "next"). The old one
// must be destroyed, so that an intruder who finds the present key cannot
// rewrite what came before.
func NextKey(key []byte) []byte { return seal.MAC(key, []byte("next")) }

// RecordMAC is HMAC-SM3(key, record), where record is encoded without its MAC.
func RecordMAC(key, record []byte) []byte { return seal.MAC(key, record) }

// Chain holds the present MAC key. Its start, the seed, goes to the county in
// an SM2 envelope (SeedAAD) and is then forgotten: only the county can check
// the MACs later.
type Chain struct{ key []byte }

// NewChain starts a chain from a fresh random seed.
func NewChain(seed seal.Key) *Chain {
	b := seed.Bytes()
	defer clear(b)
	return &Chain{seal.Derive(b, "cunban operation log mac 1", MACKeySize)}
}

// ChainFrom goes on from a stored key (Key). Errors: seal.ErrKey.
func ChainFrom(key []byte) (*Chain, error) {
	if len(key) != MACKeySize {
		return nil, fmt.Errorf("%w: a MAC key of %d bytes", seal.ErrKey, len(key))
	}
	return &Chain{append([]byte(nil), key...)}, nil
}

// Key returns a copy of the present key, for the vault to store in the same
// transaction as the record.
func (c *Chain) Key() []byte { return append([]byte(nil), c.key...) }

// Clone returns an independent copy, for a transaction that may fail.
func (c *Chain) Clone() *Chain { return &Chain{c.Key()} }

// Sign sets the record's MAC and steps to the next key.
func (c *Chain) Sign(r *Record) {
	r.MAC = c.mac(*r)
	c.step()
}

// Check reports whether the record's MAC is right and steps to the next key.
func (c *Chain) Check(r Record) bool {
	want := c.mac(r)
	c.step()
	return seal.Equal(want, r.MAC)
}

func (c *Chain) mac(r Record) []byte {
	r.MAC = nil
	return RecordMAC(c.key, r.Encode())
}

func (c *Chain) step() {
	next := NextKey(c.key)
	clear(c.key)
	c.key = next
}

// Wipe destroys the key; the chain cannot be used any more.
func (c *Chain) Wipe() {
	clear(c.key)
	c.key = nil
}

// String and Format keep the key out of logs, whatever the verb.
func (c *Chain) String() string { return "oplog.Chain{…}" }

// Format is String for every verb.
func (c *Chain) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(c.String())) }

// SeedAAD binds the enveloped seed of a chain to its log and first record.
func SeedAAD(origin string, first int64) []byte {
	return seal.AAD("cunban operation log 1", "mac seed", origin, strconv.FormatInt(first, 10))
}
