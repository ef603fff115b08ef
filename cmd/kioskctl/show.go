package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"cunban/device"
	"cunban/kiosk/app"
	"cunban/kiosk/oplog"
	"cunban/kiosk/seal"
	"cunban/kiosk/ui"
)

func (c *command) table(rows ...[]string) {
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		for i, cell := range r {
			if i > 0 {
				fmt.Fprint(w, "\t")
			}
			fmt.Fprint(w, cell)
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush() // to standard output: nobody left to tell
}

func (c *command) status(raw json.RawMessage) int {
	var s ui.Status
	if err := json.Unmarshal(raw, &s); err != nil {
		return c.fail(err)
	}
	c.table(
		[]string{"program", s.Program + " " + s.Version},
		[]string{"terminal", s.Identity.ID + " " + s.Identity.Village + fmt.Sprintf(" (enrolled %v, demo %v)", s.Enrolled, s.Demo)},
		[]string{"upstream", s.Upstream},
		[]string{"line", string(s.Line.Kind) + " " + s.Line.Text + " " + s.Line.Detail},
		[]string{"queue", fmt.Sprintf("total %d, done %d, waiting %d, attention %d", s.Counts.Total, s.Counts.Done, s.Counts.Waiting, s.Counts.Attention)},
		[]string{"log", fmt.Sprintf("%d records, countersigned %d, root %x", s.Log.Size, s.Log.Countersigned, s.Log.Root)},
		[]string{"vault", fmt.Sprintf("%d cases, %d bytes, WAL %d, free %d, key %s", s.Vault.Cases, s.Vault.Bytes, s.Vault.WALBytes, s.Vault.FreeBytes, s.Vault.KeySource)},
		[]string{"catalogue", s.Catalogue},
	)
	for _, i := range s.Incidents {
		fmt.Fprintln(c.out, "incident:", i)
	}
	return exitOK
}

func (c *command) queue(raw json.RawMessage) int {
	var q app.QueueAnswer
	if err := json.Unmarshal(raw, &q); err != nil {
		return c.fail(err)
	}
	fmt.Fprintf(c.out, "total %d = done %d + waiting %d + attention %d\n", q.Counts.Total, q.Counts.Done, q.Counts.Waiting, q.Counts.Attention)
	rows := [][]string{}
	for _, i := range q.Items {
		rows = append(rows, []string{i.CaseID, fmt.Sprint(i.Revision), i.Service, i.State, fmt.Sprint(i.Attempts), i.SavedAt, i.Reason})
	}
	c.table(rows...)
	return exitOK
}

func (c *command) devices(raw json.RawMessage) int {
	var list []device.Health
	if err := json.Unmarshal(raw, &list); err != nil {
		return c.fail(err)
	}
	rows := [][]string{}
	for _, h := range list {
		rows = append(rows, []string{string(h.Kind), string(h.State), h.Code, h.Name, h.Cause, h.Remedy})
	}
	c.table(rows...)
	return exitOK
}

// logVerify checks a live log through its owner, or an exported one with
// nothing but public keys.
func (c *command) logVerify(args []string) int {
	var file, key, county, sealKey string
	if code := c.flags("log verify", args, func(fs *flag.FlagSet) {
		fs.StringVar(&file, "file", "", "an exported log instead of the live one")
		fs.StringVar(&key, "key", "", "the terminal's public log key, PEM (with --file)")
		fs.StringVar(&county, "county", "", "the county's public key, PEM (with --file)")
		fs.StringVar(&sealKey, "seal-key", "", "the county's private seal key, PEM: at the county, to check the MACs too (with --file)")
	}); code != exitOK {
		return code
	}
	if file != "" {
		return c.verifyFile(file, key, county, sealKey)
	}
	if code := c.load(); code != exitOK {
		return code
	}
	var k ui.LogCheck
	raw, err := c.question("log-verify")
	if err != nil {
		return c.fail(err)
	}
	if err := json.Unmarshal(raw, &k); err != nil {
		return c.fail(err)
	}
	if c.json {
		if code := c.print(k); code != exitOK {
			return code
		}
	} else {
		fmt.Fprintf(c.out, "%s (%d records, %s)\n", k.Words, k.Records, k.Took.Round(time.Millisecond))
		if k.Detail != "" {
			fmt.Fprintln(c.out, k.Detail)
		}
	}
	if !k.OK {
		return exitFailed
	}
	return exitOK
}

func (c *command) verifyFile(file, key, county, sealKey string) int {
	var k oplog.Keys
	if sealKey != "" {
		b, err := os.ReadFile(sealKey)
		if err != nil {
			return c.fail(err)
		}
		private, err := seal.ParsePrivateKey(b)
		clear(b)
		if err != nil {
			return c.fail(fmt.Errorf("%s: %w", sealKey, err))
		}
		k.Seal = []*seal.PrivateKey{private}
	}
	for _, f := range []struct {
		path string
		to   *[]*seal.PublicKey
	}{{key, &k.Terminal}, {county, &k.County}} {
		if f.path == "" {
			continue
		}
		b, err := os.ReadFile(f.path)
		if err != nil {
			return c.fail(err)
		}
		pub, err := seal.ParsePublicKey(b)
		if err != nil {
			return c.fail(fmt.Errorf("%s: %w", f.path, err))
		}
		*f.to = append(*f.to, pub)
	}
	if len(k.Terminal) == 0 {
		fmt.Fprintln(c.errs, "kioskctl log verify: --file needs --key, the terminal's public log key (the county has it, and log export writes it beside the log)")
		return exitUsage
	}
	f, err := os.Open(file)
	if err != nil {
		return c.fail(err)
	}
	defer func() { _ = f.Close() }()
	r, err := oplog.VerifyExport(f, k)
	bad := oplog.AsBad(err)
	if err != nil && bad == nil {
		fmt.Fprintln(c.errs, "这不是村办导出的操作日志，或文件坏了。")
		return c.fail(err)
	}
	got := fileCheck{OK: bad == nil, Report: r}
	if bad != nil {
		got.Words, got.Detail, got.Record = bad.Text()+"请马上报告县里。", err.Error(), &bad.Seq
	} else {
		got.Words = fmt.Sprintf("日志完整，%d 条记录都对得上，%d 个检查点的签名都对。", r.Records, r.Checkpoints)
		if r.Countersigned >= 0 {
			got.Words += fmt.Sprintf("县里已会签到第 %d 条。", r.Countersigned)
		}
		if r.First > 0 {
			got.Words += fmt.Sprintf("第 %d 条以前的记录已到期删去，县里会签过。", r.First)
		}
		if sealKey != "" {
			got.Words += fmt.Sprintf("其中 %d 条的校验码也核对了。", r.MACs)
		}
	}
	if c.json {
		if code := c.print(got); code != exitOK {
			return code
		}
	} else {
		fmt.Fprintln(c.out, got.Words)
		if bad != nil {
			fmt.Fprintln(c.out, got.Detail)
		} else {
			fmt.Fprintf(c.out, "whole: %s, %d records, %d checkpoints, countersigned %d, root %x\n", r.Origin, r.Records, r.Checkpoints, r.Countersigned, r.Root)
		}
	}
	if bad != nil {
		return exitFailed
	}
	return exitOK
}

// fileCheck is the outcome of checking an exported log.
type fileCheck struct {
	OK     bool   `json:"ok"`
	Words  string `json:"words"` // plain Chinese
	Detail string `json:"detail,omitempty"`
	Record *int64 `json:"record,omitempty"` // the first bad one
	oplog.Report
}

// logExport writes the log to a file.
func (c *command) logExport(args []string) int {
	var out string
	if code := c.flags("log export", args, func(fs *flag.FlagSet) {
		fs.StringVar(&out, "out", "", "file to write; empty: in the export folder of the terminal")
	}); code != exitOK {
		return code
	}
	if code := c.load(); code != exitOK {
		return code
	}
	if out != "" {
		for _, f := range []string{out, out + app.KeySuffix} {
			if _, err := os.Lstat(f); err == nil {
				return c.fail(fmt.Errorf("%s is there already", f))
			}
		}
	}
	raw, err := c.question("log-export")
	if err != nil {
		return c.fail(err)
	}
	var a struct{ Path, Key string }
	if err := json.Unmarshal(raw, &a); err != nil {
		return c.fail(err)
	}
	if out != "" {
		for _, f := range [][2]string{{a.Path, out}, {a.Key, out + app.KeySuffix}} {
			if err := move(f[0], f[1]); err != nil {
				return c.fail(err)
			}
		}
		a.Path, a.Key = out, out+app.KeySuffix
	}
	if c.json {
		return c.print(map[string]string{"path": a.Path, "key": a.Key})
	}
	fmt.Fprintln(c.out, a.Path)
	fmt.Fprintln(c.out, a.Key)
	return exitOK
}

// move renames, or copies where the target is on another disk.
func move(from, to string) error {
	if err := os.Rename(from, to); err == nil {
		return nil
	}
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.WriteFile(to, b, 0o600); err != nil {
		return err
	}
	return os.Remove(from)
}
