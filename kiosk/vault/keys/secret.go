package keys

import "fmt"

// Secret is a key in memory of its own, locked against swapping and left out
// of core dumps where the system allows. It never prints. Not safe for
// concurrent use with Wipe.
type Secret struct {
	b      []byte
	mem    []byte // whole pages; nil when the key is in ordinary memory
	locked bool
}

// NewSecret copies a key into locked memory. Where memory cannot be locked
// (limit of the user, other system) the key is kept all the same and Locked
// tells so. The caller wipes its own copy.
func NewSecret(key []byte) (*Secret, error) {
	if len(key) == 0 {
		return nil, fmt.Errorf("an empty secret")
	}
	mem, locked := lockedPages(len(key))
	s := &Secret{mem: mem, locked: locked}
	if mem == nil {
		s.b = make([]byte, len(key))
	} else {
		s.b = mem[:len(key):len(key)]
	}
	copy(s.b, key)
	return s, nil
}

// Bytes is the key itself, not a copy; nil after Wipe. Do not keep it.
func (s *Secret) Bytes() []byte { return s.b }

// Locked reports whether the key cannot be swapped to disk.
func (s *Secret) Locked() bool { return s.locked }

// Wipe overwrites the key and gives the memory back. It may be called again.
func (s *Secret) Wipe() {
	if s == nil || s.b == nil {
		return
	}
	clear(s.b)
	if s.mem != nil {
		freePages(s.mem)
	}
	s.b, s.mem, s.locked = nil, nil, false
}

// String, GoString and MarshalJSON keep the key out of logs and files.
func (s *Secret) String() string { return "keys.Secret{…}" }

// GoString is String.
func (s *Secret) GoString() string { return s.String() }

// Format is String for every verb.
func (s *Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// MarshalJSON hides the key.
func (s *Secret) MarshalJSON() ([]byte, error) { return []byte(`"…"`), nil }
