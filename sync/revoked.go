package sync

import "context"

// Revoked tells why the county switched this terminal off, as far as the store
// knows; "" when it did not. An engine tells changes with EventRevoked.
func Revoked(ctx context.Context, s Store) (reason string, err error) {
	v, _, err := s.Get(ctx, keyRevoked)
	return string(v), err
}
