package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"cunban/kiosk/catalog"
	"cunban/kiosk/oplog"
	"cunban/kiosk/seal"
	"cunban/kiosk/ui"
)

// Exit codes of receipt verify, beside the common ones: each asks for another
// next step.
const (
	exitTorn       = 4 // the text was not read or copied whole
	exitNoReceipt  = 5 // not the code of a receipt, or of another version
	exitOtherKey   = 6 // signed by another key than the given ones
	exitFalse      = 7 // what it says was not signed
	exitOtherCase  = 8 // it proves another case than was asked for
	maxReceiptFile = 32 << 20
)

// The programs that read a code from a picture or a page, by Debian package.
const (
	zbarimg, zbarPackage     = "zbarimg", "zbar-tools"
	pdftoppm, popplerPackage = "pdftoppm", "poppler-utils"
	pageDPI                  = "300"
	maxPages                 = "10"
)

// receiptProblem is a receipt that does not hold, or could not be read.
type receiptProblem struct {
	name  string // for --json
	code  int
	words string // plain Chinese with the next step
}

// receiptProblems are told apart by the errors of oplog.
var receiptProblems = []struct {
	err error
	receiptProblem
}{
	{oplog.ErrReceiptTorn, receiptProblem{"torn", exitTorn, "码里的文字不全，或抄错了。请把纸铺平、擦净，重新扫一遍；抄写的请改用扫码。"}},
	{oplog.ErrReceiptVersion, receiptProblem{"version", exitNoReceipt, "这是另一版的回执码，这个程序不认识。请换用新版 kioskctl 再核对。"}},
	{oplog.ErrReceiptKey, receiptProblem{"key", exitOtherKey, "回执不是用给出的公钥签的。请看回执上的终端编号，向县里要这台终端的公钥（upstream key --terminal 编号；终端重装过的，再加 --log 和下面的日志名称），再核对一次。"}},
	{oplog.ErrReceiptFalse, receiptProblem{"false", exitFalse, "核对不过：码里的内容和签名对不上，被人改过。请保留这张纸，马上报告县里。"}},
	{errOtherCase, receiptProblem{"case", exitOtherCase, "码是真的，但证明的是另一件办件，不是纸上这个编号。请保留这张纸，报告县里。"}},
	{errNoCode, receiptProblem{"no-code", exitNoReceipt, "没有找到二维码。请用 300 dpi 扫描，或把码拍正、拍清楚，再试一次。"}},
	{oplog.ErrReceipt, receiptProblem{"not-a-receipt", exitNoReceipt, "这不是办件回执上的核验码。请扫回执右下角的码。"}},
}

var (
	errOtherCase = errors.New("the receipt is of another case")
	errNoCode    = errors.New("no QR code found")
)

// receiptAnswer is the outcome for --json.
type receiptAnswer struct {
	OK       bool                 `json:"ok"`
	Words    string               `json:"words"` // plain Chinese
	Problem  string               `json:"problem,omitempty"`
	Detail   string               `json:"detail,omitempty"`
	Case     string               `json:"case,omitempty"`
	Service  string               `json:"service,omitempty"`
	Revision string               `json:"revision,omitempty"`
	At       *time.Time           `json:"at,omitempty"`
	Index    *int64               `json:"index,omitempty"`
	Size     int64                `json:"size,omitempty"`
	Root     string               `json:"root,omitempty"`
	Origin   string               `json:"origin,omitempty"`
	Key      string               `json:"key,omitempty"`
	County   oplog.Countersigning `json:"county,omitempty"`
	Demo     bool                 `json:"demo,omitempty"`
}

// keyFiles is a flag that may be given several times.
type keyFiles []string

func (k *keyFiles) String() string     { return strings.Join(*k, ",") }
func (k *keyFiles) Set(s string) error { *k = append(*k, s); return nil }

// read parses the keys.
func (k keyFiles) read() (out []*seal.PublicKey, err error) {
	for _, path := range k {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		key, err := seal.ParsePublicKey(b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		out = append(out, key)
	}
	return out, nil
}

// receiptVerify checks the code of a receipt with public keys alone: no vault,
// no configuration, no terminal.
func (c *command) receiptVerify(args []string, in io.Reader) int {
	var text, file, number string
	var terminal, county keyFiles
	if code := c.flags("receipt verify", args, func(fs *flag.FlagSet) {
		fs.StringVar(&text, "text", "", "text of the QR code, as a scanner gives it")
		fs.StringVar(&file, "file", "", "file with the text, or a scan: PDF, PNG, JPEG …; neither: standard input")
		fs.StringVar(&number, "case", "", "the case number that the paper shows: the code must prove this one")
		fs.Var(&terminal, "terminal-key", "public key of the terminal's log, PEM; may be given several times")
		fs.Var(&county, "county-key", "the county's public signing key, PEM; may be given several times")
	}); code != exitOK {
		return code
	}
	if len(terminal) == 0 || text != "" && file != "" {
		fmt.Fprintln(c.errs, "kioskctl receipt verify: give --terminal-key (upstream key --terminal ID prints it, and log export writes it beside the log), and one of --text and --file")
		return exitUsage
	}
	var k oplog.Keys
	var err error
	if k.Terminal, err = terminal.read(); err != nil {
		return c.fail(err)
	}
	if k.County, err = county.read(); err != nil {
		return c.fail(err)
	}
	if text == "" {
		if text, err = c.receiptText(file, in); err != nil && !errors.Is(err, errNoCode) {
			return c.fail(err)
		}
	}
	var p oplog.Proven
	if err == nil {
		p, err = provenBy(text, number, k)
	}
	return c.receiptAnswer(p, k, err)
}

// provenBy checks a text, and that it is of the case when a number is given.
func provenBy(text, number string, k oplog.Keys) (oplog.Proven, error) {
	r, err := oplog.ParseReceipt(text)
	if err != nil {
		return oplog.Proven{}, err
	}
	p, err := r.Verify(k)
	if err == nil && number != "" && !strings.EqualFold(strings.TrimSpace(number), p.Case) {
		err = fmt.Errorf("%w: %s", errOtherCase, p.Case)
	}
	return p, err
}

// receiptAnswer tells what a receipt proves, or why nothing.
func (c *command) receiptAnswer(p oplog.Proven, k oplog.Keys, err error) int {
	if err != nil {
		problem := receiptProblem{"", exitFailed, "没有核对成。"}
		for _, x := range receiptProblems {
			if errors.Is(err, x.err) {
				problem = x.receiptProblem
				break
			}
		}
		if c.json {
			if code := c.print(receiptAnswer{Words: problem.words, Problem: problem.name, Detail: err.Error()}); code != exitOK {
				return code
			}
			return problem.code
		}
		fmt.Fprintln(c.errs, problem.words)
		fmt.Fprintln(c.errs, "kioskctl:", err)
		return problem.code
	}
	a := receiptAnswer{OK: true, Words: "核对无误：这件办件已记进这台终端的操作日志。", Case: p.Case, Service: p.Service, Revision: p.Revision, At: &p.At,
		Index: &p.Index, Size: p.Size, Root: hex.EncodeToString(p.Root), Origin: p.Origin, County: p.County, Demo: p.Demo}
	for _, key := range k.Terminal {
		if len(k.Terminal) == 1 || oplog.Origin(key) == p.Origin {
			a.Key = key.ID()
		}
	}
	if c.json {
		return c.print(a)
	}
	fmt.Fprintln(c.out, a.Words)
	rows := [][]string{
		{"办件编号", strings.ToUpper(p.Case)},
		{"办理事项", strings.TrimSpace(p.Service + " " + serviceName(p.Service))},
		{"提交次数", "第 " + p.Revision + " 次"},
		{"提交时间", p.At.In(ui.Beijing).Format("2006年1月2日 15:04:05") + "（北京时间，终端的钟）"},
		{"日志位置", fmt.Sprintf("第 %d 号记录；签名时日志共 %d 条", p.Index, p.Size)},
		{"日志名称", p.Origin + "，公钥 " + a.Key + "，终端已签名"},
		{"日志树根", a.Root},
		{"县里会签", p.County.Text()},
	}
	if p.Demo {
		rows = append(rows, []string{"演示办件", "不作办事凭证"})
	}
	c.table(rows...)
	fmt.Fprintln(c.out, "码只证明上面这些；纸上印的其他内容（姓名、材料、答复）以县里的记录为准。")
	return exitOK
}

// serviceName is what the built-in catalogue calls a service; "" when it does
// not know it.
func serviceName(id string) string {
	cat, err := catalog.Embedded()
	if err != nil {
		return ""
	}
	if s := cat.Service(id); s != nil {
		return s.Name
	}
	return ""
}

// receiptText reads the code's text from a file or standard input, be it text,
// a picture or a PDF. Errors: errNoCode.
func (c *command) receiptText(file string, in io.Reader) (string, error) {
	if file != "" {
		f, err := os.Open(file)
		if err != nil {
			return "", err
		}
		defer func() { _ = f.Close() }() // was only read
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, maxReceiptFile+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("read the receipt: %w", err)
	case len(b) > maxReceiptFile:
		return "", fmt.Errorf("read the receipt: more than %d bytes", maxReceiptFile)
	case bytes.HasPrefix(b, []byte("%PDF-")):
		return scanCode(c.ctx, b, true)
	case !utf8.Valid(b) || bytes.IndexByte(b, 0) >= 0:
		return scanCode(c.ctx, b, false)
	}
	return string(b), nil
}

// scanCode reads the receipt's code from a picture or a PDF with the programs
// that Debian has for it.
func scanCode(ctx context.Context, b []byte, pdf bool) (text string, err error) {
	dir, err := os.MkdirTemp("", "kioskctl-receipt-")
	if err != nil {
		return "", fmt.Errorf("read the picture: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	pages := []string{filepath.Join(dir, "scan")}
	if err := os.WriteFile(pages[0], b, 0o600); err != nil {
		return "", fmt.Errorf("read the picture: %w", err)
	}
	if pdf {
		if _, err := outside(ctx, pdftoppm, popplerPackage, "-r", pageDPI, "-l", maxPages, "-gray", pages[0], filepath.Join(dir, "page")); err != nil {
			return "", err
		}
		if pages, err = filepath.Glob(filepath.Join(dir, "page*")); err != nil {
			return "", fmt.Errorf("read the pages: %w", err)
		}
	}
	out, err := outside(ctx, zbarimg, zbarPackage, append([]string{"-q", "--raw", "-Sdisable", "-Sqrcode.enable"}, pages...)...)
	var exit *exec.ExitError
	if err != nil && !(errors.As(err, &exit) && exit.ExitCode() == zbarNothing) {
		return "", err
	}
	// A page may bear other codes too.
	first := ""
	for line := range strings.Lines(out) {
		if first == "" {
			first = line
		}
		if _, err := oplog.ParseReceipt(line); !errors.Is(err, oplog.ErrReceipt) {
			return line, nil
		}
	}
	if first == "" {
		return "", errNoCode
	}
	return first, nil
}

// zbarNothing is zbarimg's exit code when it found no code.
const zbarNothing = 4

// outside runs a program of the system; pkg is where Debian has it.
func outside(ctx context.Context, name, pkg string, args ...string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("读图片和 PDF 要先装 %s（apt install %s）；也可以用手机扫出文字，用 --text 交给本命令: %w", name, pkg, err)
	}
	var errs bytes.Buffer
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s: %w %s", name, err, bytes.TrimSpace(errs.Bytes()))
	}
	return string(out), err
}
