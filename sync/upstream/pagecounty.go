package upstream

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"cunban/sync/wire"
)

// terminalRow is a terminal on the page.
type terminalRow struct {
	Terminal
	Health   *wire.Health
	HealthAt time.Time
	Seen     time.Time
	Bad      []wire.Device // not ready
	Log      *Log
}

// Revoked reports whether the terminal is switched off.
func (t terminalRow) Revoked() bool { return !t.RevokedAt.IsZero() }

func (p *Page) terminals(w http.ResponseWriter, r *http.Request, v *view) error {
	list, err := p.c.Terminals(r.Context())
	if err != nil {
		return err
	}
	rows := make([]terminalRow, 0, len(list))
	for _, t := range list {
		row := terminalRow{Terminal: t}
		if p.s != nil {
			row.Seen = p.s.Seen(t.ID)
		}
		h, at, err := p.c.Health(r.Context(), t.ID)
		switch {
		case err == nil:
			row.Health, row.HealthAt = &h, at
			for _, d := range h.Devices {
				if d.State != "ready" && d.State != "busy" {
					row.Bad = append(row.Bad, d)
				}
			}
		case !errors.Is(err, ErrNotFound):
			return err
		}
		l, err := p.c.Log(r.Context(), t.ID)
		switch {
		case err == nil:
			row.Log = &l
		case !errors.Is(err, ErrNotFound):
			return err
		}
		rows = append(rows, row)
	}
	v.Title, v.Data = "终端", rows
	p.render(w, http.StatusOK, "terminals", v)
	return nil
}

func (p *Page) terminalAct(w http.ResponseWriter, r *http.Request, v *view) error {
	id, by := r.PathValue("id"), v.User.Number
	var err error
	switch r.PostForm.Get("do") {
	case "revoke":
		reason := strings.TrimSpace(r.PostForm.Get("reason"))
		if reason == "" {
			return ErrNoReason
		}
		err = p.c.Revoke(r.Context(), id, reason, by)
	case "restore":
		err = p.c.Revoke(r.Context(), id, "", by)
	case "clear":
		err = p.c.ClearAlarm(r.Context(), id, by)
	default:
		err = ErrNotFound
	}
	if err != nil {
		return err
	}
	return back(w, r, "/terminals")
}

type enrolPage struct {
	Code   string // just made, shown once
	Serial string
	Codes  []Code
}

func (p *Page) enrolPage(w http.ResponseWriter, r *http.Request, v *view, made, serial string) error {
	codes, err := p.c.Codes(r.Context())
	if err != nil {
		return err
	}
	v.Title, v.Data = "终端登记", enrolPage{Code: made, Serial: serial, Codes: codes}
	p.render(w, http.StatusOK, "enrol", v)
	return nil
}

func (p *Page) enrol(w http.ResponseWriter, r *http.Request, v *view) error {
	return p.enrolPage(w, r, v, "", "")
}

func (p *Page) enrolAct(w http.ResponseWriter, r *http.Request, v *view) error {
	f := func(name string) string { return strings.TrimSpace(r.PostForm.Get(name)) }
	switch f("do") {
	case "code":
		code, row, err := p.c.EnrolCode(r.Context(), NewTerminal{Serial: f("serial"), Region: f("region"), Village: f("village"),
			Name: f("name"), Demo: f("demo") != ""}, v.User.Number)
		if err != nil {
			return err
		}
		return p.enrolPage(w, r, v, code.String(), row.Serial)
	case "approve", "refuse":
		if err := p.c.Approve(r.Context(), f("serial"), f("hash"), f("do") == "approve", v.User.Number); err != nil {
			return err
		}
		return back(w, r, "/enrol")
	}
	return ErrNotFound
}

func (p *Page) staff(w http.ResponseWriter, r *http.Request, v *view) error {
	list, err := p.c.StaffList(r.Context())
	if err != nil {
		return err
	}
	v.Title, v.Data = "终端工作人员", list
	p.render(w, http.StatusOK, "staff", v)
	return nil
}

func (p *Page) staffAct(w http.ResponseWriter, r *http.Request, v *view) error {
	f := func(name string) string { return strings.TrimSpace(r.PostForm.Get(name)) }
	s := Staff{Number: f("number"), Name: f("name"), Region: f("region"), PIN: f("pin"), Status: f("status"),
		Roles: picked(r.PostForm["role"], StaffRoles)}
	if _, err := p.c.PutStaff(r.Context(), s, v.User.Number); err != nil {
		return err
	}
	return back(w, r, "/staff")
}

func (p *Page) notices(w http.ResponseWriter, r *http.Request, v *view) error {
	var list []Object
	if err := p.c.o.Store.View(r.Context(), func(tx Tx) (err error) { list, err = tx.Objects(wire.KindNotice); return err }); err != nil {
		return err
	}
	out := make([]Notice, 0, len(list))
	for _, o := range list {
		var n Notice
		if err := json.Unmarshal(o.Data, &n); err != nil {
			return fmt.Errorf("read notice %s: %w", o.ID, err)
		}
		out = append(out, n)
	}
	v.Title, v.Data = "通知公告", out
	p.render(w, http.StatusOK, "notices", v)
	return nil
}

func (p *Page) noticesAct(w http.ResponseWriter, r *http.Request, v *view) error {
	f := func(name string) string { return strings.TrimSpace(r.PostForm.Get(name)) }
	switch f("do") {
	case "put":
		if f("title") == "" || f("text") == "" {
			return fmt.Errorf("%w：请写标题和内容", errForm)
		}
		if _, err := p.c.PutNotice(r.Context(), Notice{Title: f("title"), Text: f("text"), Source: f("source")}, v.User.Number); err != nil {
			return err
		}
	case "withdraw":
		if err := p.c.Withdraw(r.Context(), wire.KindNotice, f("id")); err != nil {
			return err
		}
		if err := p.c.Audit(r.Context(), v.User.Number, "notice.withdraw", f("id"), ""); err != nil {
			return err
		}
	default:
		return ErrNotFound
	}
	return back(w, r, "/notices")
}

func (p *Page) accounts(w http.ResponseWriter, r *http.Request, v *view) error {
	var list []Admin
	if v.Can[RoleAccounts] {
		var err error
		if list, err = p.c.Accounts(r.Context()); err != nil {
			return err
		}
	}
	v.Title, v.Data = "县级账号", list
	if v.User.MustChange {
		v.Flash = "第一次登录，请先改密码"
	}
	p.render(w, http.StatusOK, "accounts", v)
	return nil
}

func (p *Page) accountsAct(w http.ResponseWriter, r *http.Request, v *view) error {
	f := func(name string) string { return strings.TrimSpace(r.PostForm.Get(name)) }
	a := Admin{Number: f("number"), Name: f("name"), Roles: picked(r.PostForm["role"], CountyRoles), Suspended: f("suspended") != "",
		MustChange: f("number") != v.User.Number}
	if a.Number == v.User.Number && a.Suspended {
		return fmt.Errorf("%w：不能停用自己", errForm)
	}
	if err := p.c.PutAdmin(r.Context(), a, r.PostForm.Get("password"), v.User.Number); err != nil {
		return err
	}
	return back(w, r, "/accounts")
}

func (p *Page) password(w http.ResponseWriter, r *http.Request, v *view) error {
	if _, err := p.c.SignIn(r.Context(), v.User.Number, r.PostForm.Get("old")); err != nil {
		return err
	}
	a := v.User
	a.Hash, a.MustChange = "", false
	if r.PostForm.Get("new") == "" {
		return fmt.Errorf("%w：请写新密码", errForm)
	}
	if err := p.c.PutAdmin(r.Context(), a, r.PostForm.Get("new"), v.User.Number); err != nil {
		return err
	}
	v.User.MustChange = false
	v.Flash = "密码已改"
	return p.accounts(w, r, v)
}
