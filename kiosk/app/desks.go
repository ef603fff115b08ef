package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"cunban/device"
	"cunban/kiosk/cases"
	"cunban/kiosk/oplog"
	"cunban/kiosk/resident"
	"cunban/kiosk/session"
	"cunban/kiosk/staff"
	"cunban/kiosk/ui"
	"cunban/kiosk/vault"
	"cunban/sync"
	"cunban/sync/wire"
)

// SignIn implements ui.Backend.
func (a *App) SignIn(ctx context.Context, number, pin string, role staff.Role) (staff.Account, error) {
	in, lock := oplog.StaffSignIn, oplog.StaffLock
	if role == staff.Technician {
		in, lock = oplog.TechnicianSignIn, oplog.TechnicianLock
	}
	entry := oplog.Entry{Event: in, Role: roleOf(role), Account: number, Session: a.sess.Current().Number}
	acc, err := a.roster.SignIn(ctx, number, pin, role)
	if err != nil {
		entry.Outcome = oplog.Refused
		var r *staff.Refusal
		if errors.As(err, &r) {
			entry.Fields = map[string]string{"reason": r.Error()}
			if errors.Is(err, staff.ErrLocked) {
				entry.Event, entry.Fields = lock, map[string]string{"until": r.Until.UTC().Format(time.RFC3339)}
			}
			a.record(entry)
			return staff.Account{}, plain("AC-01", r.Text(), "忘了密码，请联系县里账户管理员", err)
		}
		entry.Outcome = oplog.Failed
		a.record(entry)
		return staff.Account{}, storeTrouble(err)
	}
	n := a.Browse()
	entry.Session = n
	a.record(entry)
	if role == staff.Technician {
		a.sess.SetTechnician(n, &acc)
		if _, _, err := a.vault.Checkpoint(ctx, 0); err != nil {
			a.log.Warn("no checkpoint before the technician", "err", err)
		}
		return acc, nil
	}
	a.sess.SetHelper(n, &acc)
	if s := a.sess.Current(); s.Resident != nil {
		a.record(oplog.Entry{Event: oplog.AssistTakeover, Role: oplog.RoleStaff, Account: number, Session: n})
	}
	return acc, nil
}

func roleOf(r staff.Role) string {
	if r == staff.Technician {
		return oplog.RoleTechnician
	}
	return oplog.RoleStaff
}

// SignOut implements ui.Backend.
func (a *App) SignOut() {
	s := a.sess.Current()
	switch {
	case s.Technician != nil:
		a.record(oplog.Entry{Event: oplog.TechnicianSignOut, Role: oplog.RoleTechnician, Account: s.Technician.Number, Session: s.Number})
	case s.Helper != nil:
		a.record(oplog.Entry{Event: oplog.StaffSignOut, Role: oplog.RoleStaff, Account: s.Helper.Number, Session: s.Number})
	}
	a.sess.End(s.Number, session.SignedOut)
}

// StaffCases implements ui.Backend.
func (a *App) StaffCases(ctx context.Context, q cases.Query) ([]cases.Case, error) {
	list, err := a.vault.List(ctx, q)
	return list, storeTrouble(err)
}

// Queue implements ui.Backend.
func (a *App) Queue(ctx context.Context) ([]cases.Item, cases.Counts, error) {
	items, err := a.vault.Items(ctx)
	if err != nil {
		return nil, cases.Counts{}, storeTrouble(err)
	}
	n, err := a.vault.Counts(ctx)
	return items, n, storeTrouble(err)
}

// Resend implements ui.Backend.
func (a *App) Resend(ctx context.Context, caseID string) error {
	by := a.actor()
	if by.Role == cases.RoleResident {
		return plain("AC-02", "要帮办员先登录", "请帮办员登录后再重新发送", errors.New("no clerk or technician"))
	}
	if err := a.vault.Requeue(ctx, caseID, by); err != nil {
		return storeTrouble(err)
	}
	if e := a.engineNow(); e != nil {
		e.Wake()
	}
	return nil
}

// ConfirmPerson implements ui.Backend.
func (a *App) ConfirmPerson(c resident.Claim) (resident.Claim, error) {
	s := a.sess.Current()
	if s.Helper == nil {
		return c, plain("AC-02", "要帮办员先登录", "请帮办员登录后再确认", errors.New("no helper"))
	}
	c.Verification, c.VerifiedBy = resident.VerifiedByStaff, s.Helper.Number
	a.sess.SetResident(s.Number, c)
	a.record(oplog.Entry{Event: oplog.ClaimVerified, Role: oplog.RoleStaff, Account: s.Helper.Number, Session: s.Number,
		Fields: map[string]string{"source": string(c.Source), "verification": string(c.Verification)}})
	return c, nil
}

// Status implements ui.Backend.
func (a *App) Status(ctx context.Context) (ui.Status, error) {
	id, enrolled := a.identity()
	st := ui.Status{Version: a.o.Version, Program: "村办 cunban", StartedAt: a.started, Identity: id, Enrolled: enrolled,
		Upstream: a.cfg.Upstream, Line: a.Line(), Catalogue: a.Catalogue().Version, Demo: a.Point().Demo}
	if e := a.engineNow(); e != nil {
		st.ClockOffset = e.Clock().Offset()
	}
	if c := a.credentials(); c != nil {
		st.CertUntil = c.Leaf().NotAfter
	}
	vs, err := a.vault.Stats(ctx)
	if err != nil {
		return st, storeTrouble(err)
	}
	ks, err := a.vault.KeyState()
	if err != nil {
		return st, storeTrouble(err)
	}
	st.Counts = vs.Counts
	st.Vault = ui.VaultStatus{Path: vs.Path, Bytes: vs.Bytes, WALBytes: vs.WALBytes, FreeBytes: vs.FreeBytes,
		KeySource: ks.Source, KeyWords: ks.Strength, KeyWarnings: ks.Warnings, Cases: vs.Cases}
	ls, err := a.vault.LogState(ctx)
	if err != nil {
		return st, storeTrouble(err)
	}
	st.Log = ui.LogStatus{Size: ls.Size, Root: ls.Root, Countersigned: ls.Countersigned, CheckpointAt: ls.LastAt}
	for _, i := range a.vault.Incidents() {
		st.Incidents = append(st.Incidents, i.Text)
	}
	return st, nil
}

// SelfTest implements ui.Backend.
func (a *App) SelfTest(ctx context.Context, k device.Kind) device.Health {
	if h, ok := a.selfTests(ctx, k); ok {
		return h
	}
	return device.Health{Kind: k, State: device.StateAbsent, Cause: "没有配置这个设备", Remedy: "在配置文件里加上它"}
}

// SelfTestAll implements ui.Backend.
func (a *App) SelfTestAll(ctx context.Context) []device.Health {
	out := make([]device.Health, 0, len(a.devices))
	seen := make(map[device.Kind]bool)
	for _, d := range a.devices {
		if k := d.Kind(); !seen[k] {
			seen[k] = true
			out = append(out, a.SelfTest(ctx, k))
		}
	}
	return out
}

// VerifyLog implements ui.Backend: the log, and when it is whole the cases
// against it.
func (a *App) VerifyLog(ctx context.Context, progress func(done, total int64)) (ui.LogCheck, error) {
	r, err := a.vault.LogVerify(ctx, progress)
	c := ui.LogCheck{Records: r.Records, Took: r.Took}
	switch {
	case r.Bad != nil:
		c.Words = also(r.Bad.Text(), "请马上报告县里")
		c.Detail = r.Bad.Error()
		return c, nil
	case err != nil:
		return c, plain("LG-01", "日志没有核对完", "请再试一次；还不行就联系县里技术员", err)
	}
	audit, err := a.vault.Audit(ctx)
	if err != nil {
		return c, plain("LG-02", "日志完整，办件没有核对完", "请再试一次；还不行就联系县里技术员", err)
	}
	return compared(c, audit), nil
}

// compared ends the check of a log that is whole with what came of comparing the
// cases with it.
func compared(c ui.LogCheck, audit vault.AuditReport) ui.LogCheck {
	c.Took += audit.Took
	if !audit.Agrees() {
		c.Words, c.Detail = audit.Text(), audit.Detail()
		return c
	}
	c.OK, c.Words = true, fmt.Sprintf("日志完整，%d 条记录都对得上，%d 件办件和日志一致", c.Records, audit.Cases)
	return c
}

// KeySuffix follows the name of an exported log in that of its key.
const KeySuffix = ".pem"

// exportDir is where logs are exported to, in the data folder.
const exportDir = "export"

// ExportLog implements ui.Backend.
func (a *App) ExportLog(ctx context.Context) (string, error) {
	dir := filepath.Join(a.cfg.Data, exportDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", plain("ST-09", "导出没有成功", "请检查磁盘", err)
	}
	path := filepath.Join(dir, "oplog-"+a.Now().UTC().Format("20060102-150405.000")+".txt")
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", plain("ST-09", "导出没有成功", "请检查磁盘", err)
	}
	err = errors.Join(a.vault.LogExport(ctx, f), f.Close())
	if err == nil {
		// The key that a stranger needs goes beside it.
		err = os.WriteFile(path+KeySuffix, a.vault.PublicKey().PEM(), 0o600)
	}
	if err != nil {
		// Half an export would be taken for a log that was cut.
		return "", plain("ST-09", "导出没有成功", "请检查磁盘", errors.Join(err, os.Remove(path)))
	}
	return path, nil
}

// Enrol implements ui.Backend.
func (a *App) Enrol(ctx context.Context, code string, waiting func(string)) (wire.Identity, error) {
	ec, err := wire.ParseEnrolCode(code)
	if err != nil {
		return wire.Identity{}, plain("EN-01", "登记码不对", "登记码是 20 个字母和数字，请对照县里给的再输一遍", err)
	}
	a.record(oplog.Entry{Event: oplog.EnrolBegin, Role: oplog.RoleTechnician, Account: account(a), Fields: map[string]string{"upstream": a.cfg.Upstream}})
	id, err := sync.Enrol(ctx, sync.EnrolOptions{Base: a.cfg.Upstream, Serial: a.serial, Code: ec, Store: a.vault, Now: a.o.Now,
		Program: a.program(), OnWaiting: func(p wire.EnrolPending) { waiting(p.Text) }})
	end := oplog.Entry{Event: oplog.EnrolEnd, Role: oplog.RoleTechnician, Account: account(a), Fields: map[string]string{"upstream": a.cfg.Upstream}}
	if err != nil {
		end.Outcome = oplog.Failed
		a.record(end)
		var f *sync.Failure
		if errors.As(err, &f) {
			return id, plain("EN-02", f.Text, "登记码 24 小时内有效，可以再试", err)
		}
		return id, storeTrouble(err)
	}
	end.Fields["terminal"] = id.ID
	a.record(end)
	a.enrolledNow(id)
	return id, nil
}

// Probe implements ui.Backend.
func (a *App) Probe(ctx context.Context) sync.LineState {
	e := a.engineNow()
	if e == nil {
		return a.Line()
	}
	e.Wake()
	t := time.NewTicker(200 * time.Millisecond)
	defer t.Stop()
	end := time.After(5 * time.Second)
	for {
		if l := e.Line(); l.Kind == sync.LineUp {
			return l
		}
		select {
		case <-ctx.Done():
			return e.Line()
		case <-end:
			return e.Line()
		case <-t.C:
		}
	}
}

// Quit implements ui.Backend.
func (a *App) Quit() { a.quit() }
