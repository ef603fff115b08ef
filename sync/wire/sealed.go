package wire

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"cunban/kiosk/seal"
)

// QueryKey is what a query and its answer share: to whom they belong and, for
// personal kinds, the SM4 key both are sealed under. The key is fresh for every
// query and is never written down; Wipe it when the answer is there.
type QueryKey struct {
	terminal, id string
	kind         QueryKind
	key          seal.Key
}

// Wipe overwrites the key.
func (k *QueryKey) Wipe() { k.key.Wipe() }

// queryAAD binds one sealed part of a query to its place.
func queryAAD(part, terminal, id string, kind QueryKind) []byte {
	return seal.AAD("cunban query 1", part, terminal, id, string(kind))
}

// SealQuery makes a query with a fresh id. Personal kinds are sealed under a
// fresh key that is enveloped to the county; public ones go in clear and need
// no county key.
func SealQuery(rand io.Reader, county *seal.PublicKey, terminal string, kind QueryKind, in any) (Query, *QueryKey, error) {
	var id [16]byte
	if _, err := io.ReadFull(rand, id[:]); err != nil {
		return Query{}, nil, fmt.Errorf("make a query id: %w", err)
	}
	q := Query{ID: hex.EncodeToString(id[:]), Kind: kind}
	k := &QueryKey{terminal: terminal, id: q.ID, kind: kind}
	plain, err := json.Marshal(in)
	if err != nil {
		return Query{}, nil, fmt.Errorf("write the query: %w", err)
	}
	if !kind.Personal() {
		q.In = plain
		return q, k, nil
	}
	defer clear(plain)
	if county == nil {
		return Query{}, nil, fmt.Errorf("seal a query: %w: the county's key is not there", seal.ErrKey)
	}
	if k.key, err = seal.NewKey(rand); err != nil {
		return Query{}, nil, err
	}
	q.KeyID = county.ID()
	if q.Envelope, err = county.Envelop(rand, k.key, queryAAD("envelope", terminal, q.ID, kind)); err != nil {
		return Query{}, nil, err
	}
	if q.Sealed, err = seal.Seal(rand, k.key, plain, queryAAD("in", terminal, q.ID, kind)); err != nil {
		return Query{}, nil, err
	}
	return q, k, nil
}

// OpenQuery checks a query and returns what is asked, as JSON, with the key for
// the answer. keys are the county's private keys, the present one first;
// KeyID, when it names one of them, is tried before the others. Errors wrap
// ErrInvalid or seal.ErrOpen.
func OpenQuery(q Query, terminal string, keys ...*seal.PrivateKey) (in []byte, k *QueryKey, err error) {
	if err := q.Validate(); err != nil {
		return nil, nil, err
	}
	k = &QueryKey{terminal: terminal, id: q.ID, kind: q.Kind}
	if !q.Kind.Personal() {
		in = q.In
		if len(in) == 0 {
			in = []byte("{}")
		}
		return in, k, nil
	}
	key, err := openEnvelope(q.KeyID, q.Envelope, queryAAD("envelope", terminal, q.ID, q.Kind), keys)
	if err != nil {
		return nil, nil, fmt.Errorf("open the envelope of query %s: %w", q.ID, err)
	}
	k.key = key
	if in, err = seal.Open(key, q.Sealed, queryAAD("in", terminal, q.ID, q.Kind)); err != nil {
		return nil, nil, fmt.Errorf("open query %s: %w", q.ID, err)
	}
	if !json.Valid(in) {
		return nil, nil, invalid("what query %s seals is not JSON", q.ID)
	}
	return in, k, nil
}

// openEnvelope tries the named key first, then the others.
func openEnvelope(keyID string, env, aad []byte, keys []*seal.PrivateKey) (seal.Key, error) {
	for _, named := range []bool{true, false} {
		for _, p := range keys {
			if (p.Public().ID() == keyID) != named {
				continue
			}
			if k, err := p.OpenEnvelope(env, aad); err == nil {
				return k, nil
			}
		}
	}
	return seal.Key{}, seal.ErrOpen
}

// SealAnswer makes the answer to an opened query; asOf says how fresh the
// register behind it is.
func SealAnswer(rand io.Reader, k *QueryKey, asOf time.Time, out any) (Answer, error) {
	plain, err := json.Marshal(out)
	if err != nil {
		return Answer{}, fmt.Errorf("write the answer: %w", err)
	}
	a := Answer{ID: k.id, Kind: k.kind, AsOf: asOf.UTC()}
	if !k.kind.Personal() {
		a.Out = plain
		return a, nil
	}
	defer clear(plain)
	if a.Sealed, err = seal.Seal(rand, k.key, plain, queryAAD("out", k.terminal, k.id, k.kind)); err != nil {
		return Answer{}, fmt.Errorf("seal the answer: %w", err)
	}
	return a, nil
}

// OpenAnswer checks that an answer belongs to the query and reads it into out.
// Errors wrap ErrInvalid or seal.ErrOpen.
func OpenAnswer(a Answer, k *QueryKey, out any) error {
	if a.ID != k.id || a.Kind != k.kind {
		return invalid("answer to %s %s, asked was %s %s", a.Kind, a.ID, k.kind, k.id)
	}
	plain := []byte(a.Out)
	if k.kind.Personal() {
		if len(a.Out) > 0 {
			return invalid("answer to %s is not sealed", a.Kind)
		}
		var err error
		if plain, err = seal.Open(k.key, a.Sealed, queryAAD("out", k.terminal, k.id, k.kind)); err != nil {
			return fmt.Errorf("open the answer to query %s: %w", k.id, err)
		}
		defer clear(plain)
	}
	if err := json.Unmarshal(plain, out); err != nil {
		return invalid("answer to query %s: %v", k.id, err)
	}
	return nil
}
