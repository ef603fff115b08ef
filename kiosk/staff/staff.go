// Package staff knows who may work at a terminal beyond residents: the village
// clerk who helps (帮办员) and the technician. Accounts come from the county;
// nobody makes one here.
//
// It guarantees: a PIN is compared only with a slow salted hash; an unknown
// number and a wrong PIN give the same answer in the same time; five wrong
// tries lock an account on this terminal for thirty minutes, and pulling the
// plug or turning back the clock does not shorten that; a suspended or
// cancelled account never gets in, whatever its PIN.
//
// Rules: 账号管理 draft, 人社厅发〔2014〕47号 (one person one account).
package staff

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"cunban/kiosk/seal"
)

// Role is what an account may do.
type Role string

// Roles.
const (
	Clerk      Role = "clerk"      // 帮办员
	Technician Role = "technician" // 技术员
)

// Status of an account.
type Status string

// Statuses.
const (
	Active    Status = "active"
	Suspended Status = "suspended"
	Cancelled Status = "cancelled"
)

// Account is one person's account as the county sent it. The name is the one
// on the wall of the service point.
type Account struct {
	Number  string `json:"number"`
	Name    string `json:"name"`
	Roles   []Role `json:"roles"`
	PINHash string `json:"pin_hash"`
	Status  Status `json:"status"`
	Region  string `json:"region"` // 12-digit code; "" = the whole county
}

// Has reports whether the account has a role.
func (a Account) Has(r Role) bool { return slices.Contains(a.Roles, r) }

// Lock-out, and the lengths of numbers and PINs in characters.
const (
	MaxTries  = 5
	LockTime  = 30 * time.Minute
	MinNumber = 3
	MaxNumber = 12
	MinPIN    = 6
	MaxPIN    = 12
)

// Errors of SignIn.
var (
	ErrWrong     = errors.New("number or PIN is wrong")
	ErrLocked    = errors.New("the account is locked for a while")
	ErrSuspended = errors.New("the account is suspended or cancelled")
	ErrRole      = errors.New("the account may not do this")
	ErrRegion    = errors.New("the account belongs to another service point")
	ErrNone      = errors.New("the county has sent no accounts yet")
)

// Settings is the part of the vault that holds accounts and lock-outs.
type Settings interface {
	Get(ctx context.Context, key string) ([]byte, bool, error)
	Put(ctx context.Context, key string, val []byte) error
	Delete(ctx context.Context, key string) error
	Keys(ctx context.Context, prefix string) ([]string, error)
}

// Keys in the settings.
const (
	keyAccounts = "downlink/staff/" // + number; written by sync
	keyLock     = "staff/lock/"     // + number
)

// Roster signs people in. Methods are safe for concurrent use.
type Roster struct {
	Settings Settings
	Now      func() time.Time // the county's time as well as it is known; never goes back
	Rand     io.Reader
	Region   func() string // 12-digit code of this service point, "" = not known

	mu    sync.Mutex // one try at a time
	decoy string     // hash that unknown numbers are compared with
}

// Lock is the lock-out state of one account on this terminal.
type Lock struct {
	Fails int       `json:"fails"` // wrong tries since the last good one
	Until time.Time `json:"until"` // locked until then; zero = not locked
}

// Try says what a try at an instant does to a lock: whether it may be made at
// all, and the state afterwards. It is a pure function so that its table can be
// read and tested.
//
//	not locked, good  → free, fails 0
//	not locked, wrong → fails+1; the fifth locks for LockTime
//	locked            → refused, state unchanged, good or wrong
//	lock over         → as not locked, counting from 0
func (l Lock) Try(now time.Time, good bool) (after Lock, allowed bool) {
	if !l.Until.IsZero() {
		if now.Before(l.Until) {
			return l, false
		}
		l = Lock{}
	}
	if good {
		return Lock{}, true
	}
	l.Fails++
	if l.Fails >= MaxTries {
		l.Until = now.Add(LockTime)
	}
	return l, true
}

// Left is how many wrong tries remain before the lock.
func (l Lock) Left() int { return max(MaxTries-l.Fails, 0) }

// Refusal is why somebody did not get in, with what the page needs to say it.
type Refusal struct {
	Err   error
	Left  int       // tries left, with ErrWrong
	Until time.Time // with ErrLocked
}

func (r *Refusal) Error() string { return r.Err.Error() }

// Unwrap gives the sentinel.
func (r *Refusal) Unwrap() error { return r.Err }

// Text is the refusal in plain words with what to do next.
func (r *Refusal) Text() string {
	switch {
	case errors.Is(r.Err, ErrLocked):
		return "输错太多次，已锁定到 " + r.Until.Format("15:04") + "。到时再试，或请县里账户管理员处理"
	case errors.Is(r.Err, ErrSuspended):
		return "这个工号已停用，请联系县里账户管理员"
	case errors.Is(r.Err, ErrRole):
		return "这个工号没有这项权限，请换工号登录"
	case errors.Is(r.Err, ErrRegion):
		return "这个工号不属于本服务点，请联系县里账户管理员"
	case errors.Is(r.Err, ErrNone):
		return "本终端还没有收到工号，请先连上县里"
	}
	return fmt.Sprintf("工号或密码不对，还可以试 %d 次", r.Left)
}

// SignIn checks number and PIN for a role. A *Refusal says why not; other
// errors come from the settings. It takes about a tenth of a second.
func (r *Roster) SignIn(ctx context.Context, number, pin string, role Role) (Account, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	accounts, err := r.Settings.Keys(ctx, keyAccounts)
	if err != nil {
		return Account{}, fmt.Errorf("sign in: %w", err)
	}
	if len(accounts) == 0 {
		return Account{}, &Refusal{Err: ErrNone}
	}
	lock, err := r.lock(ctx, number)
	if err != nil {
		return Account{}, err
	}
	now := r.Now()
	if _, allowed := lock.Try(now, true); !allowed {
		return Account{}, &Refusal{Err: ErrLocked, Until: lock.Until}
	}
	acc, known, err := r.account(ctx, number)
	if err != nil {
		return Account{}, err
	}
	hash := acc.PINHash
	if !known {
		if hash, err = r.decoyHash(); err != nil {
			return Account{}, err
		}
	}
	// The try is on the disk before the PIN is compared: pulling the plug
	// between the two must not give free tries.
	after, _ := lock.Try(now, false)
	if err := r.keep(ctx, number, after); err != nil {
		return Account{}, err
	}
	if !seal.CheckPassword(hash, pin) || !known {
		if !after.Until.IsZero() {
			return Account{}, &Refusal{Err: ErrLocked, Until: after.Until}
		}
		return Account{}, &Refusal{Err: ErrWrong, Left: after.Left()}
	}
	if err := r.keep(ctx, number, Lock{}); err != nil {
		return Account{}, err
	}
	switch {
	case acc.Status != Active:
		return Account{}, &Refusal{Err: ErrSuspended}
	case !acc.Has(role):
		return Account{}, &Refusal{Err: ErrRole}
	case acc.Region != "" && r.Region != nil && r.Region() != "" && acc.Region != r.Region():
		return Account{}, &Refusal{Err: ErrRegion}
	}
	return acc, nil
}

func (r *Roster) decoyHash() (string, error) {
	if r.decoy == "" {
		h, err := seal.PasswordHash(r.Rand, "nobody")
		if err != nil {
			return "", fmt.Errorf("sign in: %w", err)
		}
		r.decoy = h
	}
	return r.decoy, nil
}

// usable keeps foreign text out of settings keys.
func usable(number string) bool {
	if len(number) < MinNumber || len(number) > MaxNumber {
		return false
	}
	for _, c := range []byte(number) {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}

func (r *Roster) account(ctx context.Context, number string) (Account, bool, error) {
	if !usable(number) {
		return Account{}, false, nil
	}
	b, ok, err := r.Settings.Get(ctx, keyAccounts+number)
	if err != nil {
		return Account{}, false, fmt.Errorf("read account: %w", err)
	}
	var a Account
	if !ok || json.Unmarshal(b, &a) != nil || a.Number != number {
		return Account{}, false, nil
	}
	return a, true, nil
}

func (r *Roster) lock(ctx context.Context, number string) (Lock, error) {
	if !usable(number) {
		return Lock{}, nil
	}
	b, ok, err := r.Settings.Get(ctx, keyLock+number)
	if err != nil {
		return Lock{}, fmt.Errorf("read lock-out: %w", err)
	}
	var l Lock
	if ok && json.Unmarshal(b, &l) != nil {
		// A lock that cannot be read counts as one: it is safer.
		l = Lock{Fails: MaxTries, Until: r.Now().Add(LockTime)}
	}
	return l, nil
}

func (r *Roster) keep(ctx context.Context, number string, l Lock) error {
	if !usable(number) {
		return nil
	}
	var err error
	if l == (Lock{}) {
		err = r.Settings.Delete(ctx, keyLock+number)
	} else {
		var b []byte
		if b, err = json.Marshal(l); err == nil {
			err = r.Settings.Put(ctx, keyLock+number, b)
		}
	}
	if err != nil {
		return fmt.Errorf("write lock-out: %w", err)
	}
	return nil
}

// Accounts lists active accounts with a role, by number; for pages that say
// whom to call.
func (r *Roster) Accounts(ctx context.Context, role Role) ([]Account, error) {
	keys, err := r.Settings.Keys(ctx, keyAccounts)
	if err != nil {
		return nil, fmt.Errorf("list accounts: %w", err)
	}
	slices.Sort(keys)
	var out []Account
	for _, k := range keys {
		a, ok, err := r.account(ctx, k[len(keyAccounts):])
		if err != nil {
			return nil, err
		}
		if ok && a.Status == Active && a.Has(role) {
			out = append(out, a)
		}
	}
	return out, nil
}
