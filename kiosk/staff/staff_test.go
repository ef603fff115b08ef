package staff

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"cunban/kiosk/seal"
)

type mem map[string][]byte

func (m mem) Get(_ context.Context, k string) ([]byte, bool, error) { v, ok := m[k]; return v, ok, nil }
func (m mem) Put(_ context.Context, k string, v []byte) error       { m[k] = v; return nil }
func (m mem) Delete(_ context.Context, k string) error              { delete(m, k); return nil }
func (m mem) Keys(_ context.Context, p string) ([]string, error) {
	var out []string
	for k := range m {
		if strings.HasPrefix(k, p) {
			out = append(out, k)
		}
	}
	return out, nil
}

func roster(t *testing.T, accounts ...Account) (*Roster, mem, *time.Time) {
	t.Helper()
	m, now := mem{}, time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)
	for _, a := range accounts {
		h, err := seal.PasswordHash(rand.Reader, "246810")
		if err != nil {
			t.Fatal(err)
		}
		a.PINHash = h
		b, _ := json.Marshal(a)
		m[keyAccounts+a.Number] = b
	}
	return &Roster{Settings: m, Now: func() time.Time { return now }, Rand: rand.Reader, Region: func() string { return "140830100001" }}, m, &now
}

func TestSignIn(t *testing.T) {
	ctx := context.Background()
	r, m, now := roster(t, Account{Number: "1001", Roles: []Role{Clerk}, Status: Active},
		Account{Number: "1002", Roles: []Role{Clerk}, Status: Suspended},
		Account{Number: "1003", Roles: []Role{Clerk}, Status: Active, Region: "140830100999"})
	if a, err := r.SignIn(ctx, "1001", "246810", Clerk); err != nil || a.Number != "1001" {
		t.Fatalf("right PIN: %v", err)
	}
	for _, tc := range []struct {
		number, pin string
		role        Role
		want        error
	}{
		{"1001", "000000", Clerk, ErrWrong},
		{"9999", "246810", Clerk, ErrWrong},
		{"../../x", "246810", Clerk, ErrWrong},
		{"1001", "246810", Technician, ErrRole},
		{"1002", "246810", Clerk, ErrSuspended},
		{"1003", "246810", Clerk, ErrRegion},
	} {
		_, err := r.SignIn(ctx, tc.number, tc.pin, tc.role)
		if !errors.Is(err, tc.want) {
			t.Errorf("%s/%s: %v, want %v", tc.number, tc.pin, err, tc.want)
		}
		var ref *Refusal
		if !errors.As(err, &ref) || ref.Text() == "" {
			t.Errorf("%s: no plain words", tc.number)
		}
	}
	for range MaxTries {
		_, _ = r.SignIn(ctx, "1001", "111111", Clerk)
	}
	if _, err := r.SignIn(ctx, "1001", "246810", Clerk); !errors.Is(err, ErrLocked) {
		t.Fatalf("after %d wrong tries: %v", MaxTries, err)
	}
	*now = now.Add(LockTime)
	if _, err := r.SignIn(ctx, "1001", "246810", Clerk); err != nil {
		t.Fatalf("after the lock: %v", err)
	}
	if _, ok := m[keyLock+"1001"]; ok {
		t.Error("a good sign-in leaves a lock behind")
	}
}

func TestNoAccountsYet(t *testing.T) {
	r, _, _ := roster(t)
	if _, err := r.SignIn(context.Background(), "1001", "246810", Clerk); !errors.Is(err, ErrNone) {
		t.Fatalf("%v", err)
	}
}

// A lock never lets more than MaxTries wrong tries through in any LockTime.
func TestLockBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now, l := time.Unix(1e9, 0), Lock{}
		var wrong []time.Time
		for range rapid.IntRange(1, 60).Draw(t, "tries") {
			now = now.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "minutes")) * time.Minute)
			good := rapid.Bool().Draw(t, "good")
			var allowed bool
			if l, allowed = l.Try(now, good); !allowed {
				continue
			}
			if good {
				wrong = nil
				continue
			}
			wrong = append(wrong, now)
			if n := len(wrong); n > MaxTries && wrong[n-1].Sub(wrong[n-1-MaxTries]) < LockTime {
				t.Fatalf("%d wrong tries in %v", MaxTries+1, wrong[n-1].Sub(wrong[n-1-MaxTries]))
			}
		}
	})
}
