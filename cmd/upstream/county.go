package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"cunban/sync/upstream"
	"cunban/sync/wire"
)

// byCommand is the account that the audit names for the command line: whoever
// may read the data folder.
const byCommand = "command line"

func (a *app) json(v any) error {
	e := json.NewEncoder(a.out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
}

// table prints lines of cells.
func (a *app) table(lines [][]any) error {
	w := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
	for _, l := range lines {
		for _, cell := range l {
			fmt.Fprintf(w, "%v\t", cell)
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}

func enrolCode(ctx context.Context, a *app, args []string) error {
	fset, c := a.flags("enrol-code")
	var t upstream.NewTerminal
	fset.StringVar(&t.Serial, "serial", "", "serial number of the terminal")
	fset.StringVar(&t.Region, "region", "", "12-digit code of the service point")
	fset.StringVar(&t.Village, "village", "", "name of the village")
	fset.StringVar(&t.Name, "name", "", "name of the service point")
	fset.BoolVar(&t.Demo, "demo", false, "a terminal for demonstration")
	if _, err := parse(fset, c, args, 0); err != nil {
		return err
	}
	return with(ctx, c, func(county *upstream.County) error {
		code, row, err := county.EnrolCode(ctx, t, byCommand)
		if err != nil {
			return err
		}
		if c.json {
			return a.json(map[string]any{"code": code.String(), "serial": row.Serial, "expires_at": row.ExpiresAt})
		}
		fmt.Fprintln(a.out, code.String())
		return nil
	})
}

func approve(ctx context.Context, a *app, args []string) error {
	fset, c := a.flags("approve")
	serial := fset.String("serial", "", "only this serial number")
	refuse := fset.Bool("refuse", false, "refuse instead")
	if _, err := parse(fset, c, args, 0); err != nil {
		return err
	}
	return with(ctx, c, func(county *upstream.County) error {
		codes, err := county.Codes(ctx)
		if err != nil {
			return err
		}
		n := 0
		for _, code := range codes {
			if code.State != upstream.CodeWaiting || *serial != "" && code.Serial != *serial {
				continue
			}
			if err := county.Approve(ctx, code.Serial, code.SecretHash, !*refuse, byCommand); err != nil {
				return err
			}
			fmt.Fprintln(a.out, code.Serial)
			n++
		}
		if n == 0 {
			return errors.New("no enrolment is waiting")
		}
		return nil
	})
}

type terminalView struct {
	ID        string       `json:"id"`
	Serial    string       `json:"serial"`
	Region    string       `json:"region"`
	Village   string       `json:"village"`
	Name      string       `json:"name"`
	Demo      bool         `json:"demo"`
	Revoked   bool         `json:"revoked"`
	Reason    string       `json:"reason,omitempty"`
	CertUntil time.Time    `json:"cert_until"`
	HealthAt  *time.Time   `json:"health_at,omitempty"`
	Health    *wire.Health `json:"health,omitempty"`
}

func terminals(ctx context.Context, a *app, args []string) error {
	fset, c := a.flags("terminals")
	if _, err := parse(fset, c, args, 0); err != nil {
		return err
	}
	return with(ctx, c, func(county *upstream.County) error {
		list, err := county.Terminals(ctx)
		if err != nil {
			return err
		}
		out := []terminalView{}
		lines := [][]any{{"终端", "序列号", "服务点", "状态", "最近报告"}}
		for _, t := range list {
			v := terminalView{ID: t.ID, Serial: t.Serial, Region: t.Region, Village: t.Village, Name: t.Name, Demo: t.Demo,
				Revoked: !t.RevokedAt.IsZero(), Reason: t.Reason, CertUntil: t.CertUntil}
			state, last := "在用", "没有"
			if v.Revoked {
				state = "停用"
			}
			h, at, err := county.Health(ctx, t.ID)
			switch {
			case err == nil:
				v.Health, v.HealthAt, last = &h, &at, at.Local().Format(time.DateTime)
			case !errors.Is(err, upstream.ErrNotFound):
				return err
			}
			out = append(out, v)
			lines = append(lines, []any{t.ID, t.Serial, t.Name, state, last})
		}
		if c.json {
			return a.json(out)
		}
		return a.table(lines)
	})
}

func revoke(ctx context.Context, a *app, args []string) error {
	fset, c := a.flags("revoke")
	id := fset.String("terminal", "", "id of the terminal")
	reason := fset.String("reason", "", "why, in plain words for staff")
	if _, err := parse(fset, c, args, 0); err != nil {
		return err
	}
	if *id == "" || *reason == "" {
		return errUsage
	}
	return with(ctx, c, func(county *upstream.County) error { return county.Revoke(ctx, *id, *reason, byCommand) })
}

func restore(ctx context.Context, a *app, args []string) error {
	fset, c := a.flags("restore")
	id := fset.String("terminal", "", "id of the terminal")
	if _, err := parse(fset, c, args, 0); err != nil {
		return err
	}
	if *id == "" {
		return errUsage
	}
	return with(ctx, c, func(county *upstream.County) error { return county.Revoke(ctx, *id, "", byCommand) })
}

func staff(ctx context.Context, a *app, args []string) error {
	fset, c := a.flags("staff")
	var s upstream.Staff
	var roles list
	fset.StringVar(&s.Number, "number", "", "number to sign in with")
	fset.StringVar(&s.Name, "name", "", "name as on the wall of the service point")
	fset.Var(&roles, "role", "clerk or technician; may be repeated")
	fset.StringVar(&s.Region, "region", "", "12-digit code of the service point; none = the whole county")
	fset.StringVar(&s.PIN, "pin", "", "6 digits")
	words, err := parse(fset, c, args, 1)
	if err != nil {
		return err
	}
	s.Roles = roles
	return with(ctx, c, func(county *upstream.County) error {
		known, err := county.StaffList(ctx)
		if err != nil {
			return err
		}
		switch words[0] {
		case "list":
			if c.json {
				for i := range known {
					known[i].PINHash = ""
				}
				return a.json(known)
			}
			lines := [][]any{{"工号", "姓名", "角色", "服务点", "状态"}}
			for _, k := range known {
				lines = append(lines, []any{k.Number, k.Name, k.Roles, k.Region, k.Status})
			}
			return a.table(lines)
		case "add":
			if len(s.Roles) == 0 {
				s.Roles = []string{"clerk"}
			}
		case "suspend", "cancel":
			found := false
			for _, k := range known {
				if k.Number == s.Number {
					found = true
					s = upstream.Staff{Number: k.Number, Name: k.Name, Roles: k.Roles, Region: k.Region, Status: words[0] + "ed"}
				}
			}
			if !found {
				return fmt.Errorf("account %s: %w", s.Number, upstream.ErrNotFound)
			}
			if words[0] == "cancel" {
				s.Status = "cancelled"
			}
		default:
			return errUsage
		}
		done, err := county.PutStaff(ctx, s, byCommand)
		if err != nil {
			return err
		}
		fmt.Fprintln(a.out, done.Number)
		return nil
	})
}

func admin(ctx context.Context, a *app, args []string) error {
	fset, c := a.flags("admin")
	var x upstream.Admin
	var roles list
	fset.StringVar(&x.Number, "number", "", "name to sign in with")
	fset.StringVar(&x.Name, "name", "", "the person's name")
	fset.Var(&roles, "role", "accounts, review or audit; may be repeated")
	password := fset.String("password", "", "at least 8 characters of three kinds")
	words, err := parse(fset, c, args, 1)
	if err != nil {
		return err
	}
	x.Roles = roles
	return with(ctx, c, func(county *upstream.County) error {
		switch words[0] {
		case "list":
			known, err := county.Accounts(ctx)
			if err != nil {
				return err
			}
			type row struct {
				Number    string   `json:"number"`
				Name      string   `json:"name"`
				Roles     []string `json:"roles"`
				Suspended bool     `json:"suspended"`
			}
			out := []row{}
			lines := [][]any{{"工号", "姓名", "角色", "停用"}}
			for _, k := range known {
				out = append(out, row{k.Number, k.Name, k.Roles, k.Suspended})
				lines = append(lines, []any{k.Number, k.Name, k.Roles, k.Suspended})
			}
			if c.json {
				return a.json(out)
			}
			return a.table(lines)
		case "add":
			return county.PutAdmin(ctx, x, *password, byCommand)
		}
		return errUsage
	})
}

func notice(ctx context.Context, a *app, args []string) error {
	fset, c := a.flags("notice")
	var n upstream.Notice
	fset.StringVar(&n.Title, "title", "", "title")
	fset.StringVar(&n.Text, "text", "", "text")
	if _, err := parse(fset, c, args, 0); err != nil {
		return err
	}
	return with(ctx, c, func(county *upstream.County) error {
		done, err := county.PutNotice(ctx, n, byCommand)
		if err == nil {
			fmt.Fprintln(a.out, done.ID)
		}
		return err
	})
}

func logCmd(ctx context.Context, a *app, args []string) error {
	fset, c := a.flags("log")
	id := fset.String("terminal", "", "id of the terminal")
	if _, err := parse(fset, c, args, 0); err != nil {
		return err
	}
	if *id == "" {
		return errUsage
	}
	return with(ctx, c, func(county *upstream.County) error {
		l, err := county.Log(ctx, *id)
		if err != nil {
			return err
		}
		if c.json {
			return a.json(map[string]any{"terminal": l.Terminal, "size": l.Size, "root": wire.Hex(l.Root), "note": string(l.Note),
				"at": l.At, "alarm": l.Alarm})
		}
		fmt.Fprintf(a.out, "%s 共 %d 条，%s\n%s", l.Terminal, l.Size, l.At.Local().Format(time.DateTime), l.Note)
		if l.Alarm != "" {
			fmt.Fprintf(a.out, "警告：%s\n", l.Alarm)
		}
		return nil
	})
}
