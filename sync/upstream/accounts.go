package upstream

import (
	"context"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"cunban/kiosk/seal"
	"cunban/sync/wire"
)

// Roles of accounts of the county's page. One person may have several only
// where a county is too small to keep them apart.
const (
	RoleAccounts = "accounts" // terminals, enrolment, accounts, notices
	RoleReview   = "review"   // cases
	RoleAudit    = "audit"    // reads who did what
)

// CountyRoles lists the closed set.
var CountyRoles = []string{RoleAccounts, RoleReview, RoleAudit}

// StaffRoles lists the roles of staff at terminals.
var StaffRoles = []string{"clerk", "technician"}

// Errors of accounts.
var (
	ErrAccount  = errors.New("账号不能这样设")
	ErrPassword = errors.New("number or password is wrong")
	ErrShut     = errors.New("too many wrong tries, wait half an hour")
)

// Demands on secrets.
const (
	minPassword = 8 // characters, of three of four classes
	pinDigits   = 6
)

// Staff is an account for terminals, as the county's page writes it.
type Staff struct {
	Number string
	Name   string
	Roles  []string
	Region string // 12 digits, or "" = the whole county
	PIN    string // 6 digits; "" keeps the present one
	Status string // active, suspended, cancelled; "" = active
}

// PutStaff makes or changes a terminal account and sends it down. It returns
// what went down, without the secret itself.
func (c *County) PutStaff(ctx context.Context, s Staff, by string) (wire.StaffAccount, error) {
	if s.Status == "" {
		s.Status = "active"
	}
	a := wire.StaffAccount{Number: s.Number, Name: strings.TrimSpace(s.Name), Roles: s.Roles, Status: s.Status, Region: s.Region}
	var old wire.StaffAccount
	err := c.o.Store.View(ctx, func(tx Tx) error {
		o, err := tx.Object(wire.KindStaff, s.Number)
		if err != nil {
			return err
		}
		return json.Unmarshal(o.Data, &old)
	})
	if err != nil && !errors.Is(err, ErrNotFound) {
		return a, err
	}
	if err := checkStaff(a, s.PIN, old.PINHash != ""); err != nil {
		return a, err
	}
	a.PINHash = old.PINHash
	if s.PIN != "" {
		if a.PINHash, err = seal.PasswordHash(c.o.Rand, s.PIN); err != nil {
			return a, err
		}
	}
	data, err := marshal(a)
	if err != nil {
		return a, err
	}
	err = c.o.Store.Update(ctx, func(tx Tx) error {
		now := c.now()
		if _, err := c.publish(tx, wire.KindStaff, a.Number, "", false, data, now); err != nil {
			return err
		}
		return tx.AddAudit(Audit{At: now, By: by, What: "staff.put", Object: a.Number, Detail: a.Status})
	})
	if err == nil {
		c.hub.wake()
	}
	return a, err
}

func checkStaff(a wire.StaffAccount, pin string, hasPIN bool) error {
	bad := func(what string) error { return fmt.Errorf("%w: %s", ErrAccount, what) }
	switch {
	case !digits(a.Number) || len(a.Number) < 3 || len(a.Number) > 12:
		return bad("工号要用 3 到 12 位数字")
	case a.Name == "" || utf8.RuneCountInString(a.Name) > 30:
		return bad("请写姓名")
	case len(a.Roles) == 0:
		return bad("请选角色")
	case a.Region != "" && (!digits(a.Region) || len(a.Region) != 12):
		return bad("服务点区划代码要 12 位数字")
	case pin == "" && !hasPIN:
		return bad("请设 6 位数字密码")
	case pin != "" && (!digits(pin) || len(pin) != pinDigits):
		return bad("密码要 6 位数字")
	case pin != "" && strings.Count(pin, pin[:1]) == pinDigits:
		return bad("密码不能 6 位都一样")
	}
	for _, r := range a.Roles {
		if r != "clerk" && r != "technician" {
			return bad("没有角色 " + r)
		}
	}
	switch a.Status {
	case "active", "suspended", "cancelled":
		return nil
	}
	return bad("没有状态 " + a.Status)
}

// StaffList lists terminal accounts.
func (c *County) StaffList(ctx context.Context) ([]wire.StaffAccount, error) {
	var list []Object
	if err := c.o.Store.View(ctx, func(tx Tx) (err error) { list, err = tx.Objects(wire.KindStaff); return err }); err != nil {
		return nil, err
	}
	out := make([]wire.StaffAccount, 0, len(list))
	for _, o := range list {
		var a wire.StaffAccount
		if err := json.Unmarshal(o.Data, &a); err != nil {
			return nil, fmt.Errorf("read account %s: %w", o.ID, err)
		}
		out = append(out, a)
	}
	return out, nil
}

// Bootstrap makes the first account of the county's page when there is none,
// and returns its password; "" when accounts exist.
func (c *County) Bootstrap(ctx context.Context) (number, password string, err error) {
	password, err = c.randomPassword()
	if err != nil {
		return "", "", err
	}
	hash, err := seal.PasswordHash(c.o.Rand, password)
	if err != nil {
		return "", "", err
	}
	made := false
	err = c.o.Store.Update(ctx, func(tx Tx) error {
		made = false
		list, err := tx.Admins()
		if err != nil || len(list) > 0 {
			return err
		}
		made = true
		return tx.PutAdmin(Admin{Number: "admin", Name: "县管理员", Roles: CountyRoles, Hash: hash, CreatedAt: c.now()})
	})
	if err != nil || !made {
		return "", "", err
	}
	return "admin", password, nil
}

// randomPassword makes 16 characters of base32, 80 bits, in groups of four.
func (c *County) randomPassword() (string, error) {
	var b [10]byte
	if _, err := io.ReadFull(c.o.Rand, b[:]); err != nil {
		return "", fmt.Errorf("make a password: %w", err)
	}
	s := strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))
	return s[:4] + "-" + s[4:8] + "-" + s[8:12] + "-" + s[12:], nil
}

// PutAdmin makes or changes an account of the county's page. An empty password
// keeps the present one.
func (c *County) PutAdmin(ctx context.Context, a Admin, password, by string) error {
	bad := func(what string) error { return fmt.Errorf("%w: %s", ErrAccount, what) }
	if a.Number == "" || len(a.Number) > 20 || a.Name == "" || len(a.Roles) == 0 {
		return bad("工号、姓名、角色都要有")
	}
	if password != "" {
		if err := checkPassword(password, a.Number, a.Name); err != nil {
			return err
		}
		var err error
		if a.Hash, err = seal.PasswordHash(c.o.Rand, password); err != nil {
			return err
		}
	}
	return c.o.Store.Update(ctx, func(tx Tx) error {
		row := a
		old, err := tx.Admin(a.Number)
		switch {
		case err == nil:
			row.CreatedAt = old.CreatedAt
			if row.Hash == "" {
				row.Hash, row.MustChange = old.Hash, old.MustChange
			}
		case !errors.Is(err, ErrNotFound):
			return err
		default:
			row.CreatedAt = c.now()
		}
		if row.Hash == "" {
			return bad("请设密码")
		}
		if err := tx.PutAdmin(row); err != nil {
			return err
		}
		return tx.AddAudit(Audit{At: c.now(), By: by, What: "admin.put", Object: a.Number})
	})
}

// checkPassword asks for 8 characters of three of four classes, not the number
// or the name.
func checkPassword(p, number, name string) error {
	classes := map[string]bool{}
	for _, r := range p {
		switch {
		case r >= '0' && r <= '9':
			classes["digit"] = true
		case r >= 'a' && r <= 'z':
			classes["lower"] = true
		case r >= 'A' && r <= 'Z':
			classes["upper"] = true
		default:
			classes["other"] = true
		}
	}
	if utf8.RuneCountInString(p) < minPassword || len(classes) < 3 || strings.Contains(p, number) || strings.Contains(p, name) {
		return fmt.Errorf("%w: 密码至少 8 位，大写、小写、数字、符号要有三种，不能含工号和姓名", ErrAccount)
	}
	return nil
}

// SignIn checks an account of the county's page. Errors: ErrPassword, ErrShut.
func (c *County) SignIn(ctx context.Context, number, password string) (Admin, error) {
	if c.tries.shut("admin/"+number) > 0 {
		return Admin{}, ErrShut
	}
	var a Admin
	err := c.o.Store.View(ctx, func(tx Tx) (err error) { a, err = tx.Admin(number); return err })
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Admin{}, err
	}
	// The hash is computed for unknown numbers too: the time tells nothing.
	hash := a.Hash
	if hash == "" {
		hash = noHash
	}
	if !seal.CheckPassword(hash, password) || err != nil || a.Suspended {
		c.tries.wrong("admin/" + number)
		return Admin{}, ErrPassword
	}
	c.tries.right("admin/" + number)
	return a, c.Audit(ctx, a.Number, "signin", "", "")
}

// noHash is the hash of nothing anybody can type.
const noHash = "pbkdf2-sm3$60000$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

// Account returns an account of the county's page.
func (c *County) Account(ctx context.Context, number string) (a Admin, err error) {
	err = c.o.Store.View(ctx, func(tx Tx) error { a, err = tx.Admin(number); return err })
	return a, err
}

// Accounts lists the accounts of the county's page.
func (c *County) Accounts(ctx context.Context) (out []Admin, err error) {
	err = c.o.Store.View(ctx, func(tx Tx) error { out, err = tx.Admins(); return err })
	return out, err
}

// AuditTrail lists what was done, newest first.
func (c *County) AuditTrail(ctx context.Context, limit int) (out []Audit, err error) {
	err = c.o.Store.View(ctx, func(tx Tx) error { out, err = tx.Audits(limit); return err })
	return out, err
}

// Notice is a public notice, as the page writes it.
type Notice struct {
	ID     string `json:"id"`
	Title  string `json:"title"`
	Text   string `json:"text"`
	Date   string `json:"date"` // YYYY-MM-DD
	Source string `json:"source,omitempty"`
	Sample bool   `json:"sample"`
}

// PutNotice publishes a notice; an empty ID makes a new one.
func (c *County) PutNotice(ctx context.Context, n Notice, by string) (Notice, error) {
	if n.Title == "" || n.Text == "" {
		return n, errors.New("请写标题和内容")
	}
	now := c.now()
	if n.ID == "" {
		n.ID = "N" + now.In(zone).Format("20060102-150405.000")
		n.ID = strings.ReplaceAll(n.ID, ".", "-")
	}
	if n.Date == "" {
		n.Date = now.In(zone).Format(time.DateOnly)
	}
	if _, err := c.Publish(ctx, wire.KindNotice, n.ID, "", n); err != nil {
		return n, err
	}
	return n, c.Audit(ctx, by, "notice.put", n.ID, "")
}
