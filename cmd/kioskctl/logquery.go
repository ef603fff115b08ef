package main

import (
	"bufio"
	"encoding/csv"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"cunban/kiosk/app"
	"cunban/kiosk/oplog"
	"cunban/kiosk/ui"
	"cunban/kiosk/vault"
)

// logQuery shows records of the operation log, the newest first: for people, as
// CSV for a spreadsheet, or as JSON, one record a line. It streams: a log of
// years needs no more memory than one of a day.
func (c *command) logQuery(args []string) int {
	var f vault.LogFilter
	var from, to, event, outcome, file string
	var asCSV bool
	if code := c.flags("log query", args, func(fs *flag.FlagSet) {
		fs.StringVar(&from, "from", "", "the first time: 2026-03-01, \"2026-03-01 08:30\" (Beijing time) or RFC 3339")
		fs.StringVar(&to, "to", "", "the last time; a day means to its end")
		fs.StringVar(&f.CaseID, "case", "", "number of a case")
		fs.StringVar(&f.Account, "account", "", "number of a clerk or technician")
		fs.StringVar(&f.Service, "service", "", "service, such as S01")
		fs.StringVar(&f.Device, "device", "", "device, such as printer")
		fs.StringVar(&event, "event", "", "event, such as case.submit (the manual lists them)")
		fs.StringVar(&outcome, "outcome", "", "ok, failed, refused, begin or end")
		fs.StringVar(&f.Role, "role", "", "resident, staff, technician or system")
		fs.IntVar(&f.Limit, "limit", 0, "so many records at most; 0: all")
		fs.Int64Var(&f.Before, "before", 0, "only records before this number: goes on where a question ended")
		fs.IntVar(&f.Look, "look", app.LogLookMax, "ends after so many records that were not asked for; 0: looks at the whole log, which can take minutes")
		fs.StringVar(&file, "file", "", "an exported log instead of the terminal's; the oldest record first")
		fs.BoolVar(&asCSV, "csv", false, "CSV for a spreadsheet")
	}); code != exitOK {
		return code
	}
	if err := filter(&f, from, to, event, outcome); err != nil {
		fmt.Fprintln(c.errs, "kioskctl log query:", err)
		return exitUsage
	}
	if c.json && asCSV {
		fmt.Fprintln(c.errs, "kioskctl log query: --json or --csv, not both")
		return exitUsage
	}
	out := bufio.NewWriter(c.out)
	show, end := c.recordWriter(out, asCSV)
	rest, err := c.eachRecord(f, file, show)
	if errors.Is(err, errConfig) {
		return exitUsage
	}
	if err = errors.Join(err, end(), out.Flush()); err != nil {
		return c.fail(err)
	}
	if rest > 0 { // not among the records, which may be for a program
		fmt.Fprintf(c.errs, "更早的记录还没有查（第 %d 条以前）。接着查请用：\n  %s\n", rest, goOn(args, rest))
	}
	return exitOK
}

// goOn is the command that goes on with a question before a record.
func goOn(args []string, before int64) string {
	words := []string{"kioskctl log query"}
	for i := 0; i < len(args); i++ {
		name, _, joined := strings.Cut(strings.TrimLeft(args[i], "-"), "=")
		if strings.HasPrefix(args[i], "-") && name == "before" {
			if !joined {
				i++ // its value
			}
			continue
		}
		words = append(words, shellWord(args[i]))
	}
	return strings.Join(append(words, "--before", strconv.FormatInt(before, 10)), " ")
}

// shellWord quotes a word for a POSIX shell where it has to be.
func shellWord(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-_=./:,@%+", r))
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// errConfig means that the configuration was not usable; it has been said.
var errConfig = errors.New("configuration")

// filter completes a filter from the command line.
func filter(f *vault.LogFilter, from, to, event, outcome string) (err error) {
	if f.Since, _, err = moment(from); err != nil {
		return err
	}
	day := false
	if f.Until, day, err = moment(to); err != nil {
		return err
	}
	if day {
		f.Until = f.Until.AddDate(0, 0, 1)
	}
	f.Event, f.Outcome = oplog.Event(event), oplog.Outcome(outcome)
	if _, ok := f.Event.Spec(); event != "" && !ok {
		return fmt.Errorf("unknown event %q", event)
	}
	if outcome != "" && !slices.Contains(oplog.Outcomes, f.Outcome) {
		return fmt.Errorf("unknown outcome %q (allowed: %v)", outcome, oplog.Outcomes)
	}
	if roles := []string{oplog.RoleResident, oplog.RoleStaff, oplog.RoleTechnician, oplog.RoleSystem}; f.Role != "" && !slices.Contains(roles, f.Role) {
		return fmt.Errorf("unknown role %q (allowed: %v)", f.Role, roles)
	}
	return nil
}

// moment reads a time of the command line; day when only a day was given.
func moment(s string) (t time.Time, day bool, err error) {
	if s == "" {
		return time.Time{}, false, nil
	}
	for _, layout := range []string{time.DateOnly, "2006-01-02 15:04", time.DateTime} {
		if t, err := time.ParseInLocation(layout, s, ui.Beijing); err == nil {
			return t, layout == time.DateOnly, nil
		}
	}
	if t, err = time.Parse(time.RFC3339, s); err != nil {
		return time.Time{}, false, fmt.Errorf("%q is not a time (2026-03-01, \"2026-03-01 08:30\" or RFC 3339)", s)
	}
	return t, false, nil
}

// eachRecord reads the terminal's log, or an exported one; rest is where to go
// on when it ended before.
func (c *command) eachRecord(f vault.LogFilter, file string, show func(oplog.Record) error) (rest int64, err error) {
	if file != "" {
		return 0, eachExported(f, file, show)
	}
	if c.load() != exitOK {
		return 0, errConfig
	}
	return app.EachLog(c.ctx, c.cfg, version, f, show)
}

// eachExported reads an exported log, to its end.
func eachExported(f vault.LogFilter, file string, show func(oplog.Record) error) error {
	r, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // only read from
	x, err := oplog.NewExportReader(r)
	if err != nil {
		return err
	}
	for found := 0; f.Limit == 0 || found < f.Limit; {
		it, err := x.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if it.Record == nil {
			continue
		}
		rec, err := oplog.Decode(it.Record)
		if err != nil {
			return err
		}
		if !f.Takes(rec) || f.Before > 0 && rec.Seq >= f.Before {
			continue
		}
		found++
		if err := show(rec); err != nil {
			return err
		}
	}
	return nil
}

// recordWriter returns what shows one record, and what ends the output.
func (c *command) recordWriter(w io.Writer, asCSV bool) (show func(oplog.Record) error, end func() error) {
	none := func() error { return nil }
	switch {
	case c.json:
		return func(r oplog.Record) error {
			_, err := fmt.Fprintf(w, "%s\n", r.Encode())
			return err
		}, none
	case asCSV:
		return csvRecords(w)
	}
	return func(r oplog.Record) error {
		who := roleText(r.Role)
		if r.Account != "" {
			who += " " + r.Account
		}
		line := fmt.Sprintf("%8d  %s  %s  %s", r.Seq, beijing(r.Wall), r.Describe(), who)
		for _, part := range []string{r.CaseID, r.Device, fieldText(r.Fields)} {
			if part != "" {
				line += "  " + part
			}
		}
		_, err := fmt.Fprintln(w, line)
		return err
	}, none
}

// byteOrderMark tells a spreadsheet that the file is UTF-8; without it some take
// Chinese for the system's code page.
const byteOrderMark = "\ufeff"

// columns are the names in the first row.
var columns = []string{"序号", "时间", "事件", "事件编号", "结果", "谁", "账号", "会话", "办件号", "事项", "设备", "演示", "内容", "程序版本", "开机编号", "开机后毫秒"}

// csvRecords writes RFC 4180 for spreadsheets.
func csvRecords(w io.Writer) (show func(oplog.Record) error, end func() error) {
	x := csv.NewWriter(w)
	x.UseCRLF = true
	begun := false
	begin := func() error {
		if begun {
			return nil
		}
		begun = true
		if _, err := io.WriteString(w, byteOrderMark); err != nil {
			return err
		}
		return x.Write(columns)
	}
	return func(r oplog.Record) error {
			if err := begin(); err != nil {
				return err
			}
			session, demo := "", ""
			if r.Session != 0 {
				session = strconv.FormatUint(r.Session, 10)
			}
			if r.Demo {
				demo = "是"
			}
			row := []string{strconv.FormatInt(r.Seq, 10), beijing(r.Wall), r.Event.Text(), string(r.Event), r.Outcome.Text(), roleText(r.Role),
				r.Account, session, r.CaseID, r.Fields["service"], r.Device, demo, fieldText(r.Fields), r.Version, r.BootID,
				strconv.FormatInt(r.Mono/int64(time.Millisecond), 10)}
			for i := range row {
				row[i] = cell(row[i])
			}
			return x.Write(row)
		}, func() error {
			err := begin() // the names stand there even if nothing was found
			x.Flush()
			return errors.Join(err, x.Error())
		}
}

// cell keeps a text from being taken for a formula: what the county or a device
// said stands in records, and a spreadsheet would run it (CWE-1236).
func cell(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r\n", rune(s[0])) {
		return "'" + s
	}
	return s
}

func beijing(t time.Time) string { return t.In(ui.Beijing).Format("2006-01-02 15:04:05.000") }

// fieldText is the fields of a record in the order of their names.
func fieldText(fields map[string]string) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(fields)) {
		parts = append(parts, k+"="+fields[k])
	}
	return strings.Join(parts, " ")
}

func roleText(role string) string {
	switch role {
	case oplog.RoleResident:
		return "办事人"
	case oplog.RoleStaff:
		return "工作人员"
	case oplog.RoleTechnician:
		return "技术员"
	case oplog.RoleSystem:
		return "终端"
	}
	return role
}
