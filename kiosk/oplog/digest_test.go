package oplog

import (
	"errors"
	"strings"
	"testing"
)

// TestADigestIsNoIDNumber: one in some hundred thousand digests has 18 digits in
// a row that make a valid number; a submission must not fail over it.
func TestADigestIsNoIDNumber(t *testing.T) {
	const number = "140830198707144518"
	digest := "ab" + number + strings.Repeat("c", 2*HashSize-2-len(number))
	e := Entry{Event: CaseSubmit, Role: RoleResident, Fields: map[string]string{"body": digest}}.Normal()
	if err := e.Check(); err != nil {
		t.Fatal(err)
	}
	for _, v := range []string{number, digest + "c", "ab" + number + "c"} {
		e.Fields["body"] = v
		if err := e.Check(); !errors.Is(err, ErrEntry) {
			t.Errorf("%q was taken: %v", v, err)
		}
	}
}
