package keys

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"time"
)

// NameExec is the configured word of Exec.
const NameExec = "exec"

// Bounds of a helper program.
const (
	// HelperTimeout is how long a helper may take, when nothing else is
	// configured: a person may have to press a button on the device.
	HelperTimeout   = 30 * time.Second
	helperGrace     = 2 * time.Second // for its pipes after it was ended
	maxHelperOutput = 4 << 10         // bytes
	helperVersion   = 1
)

// Exec asks a helper program, which speaks for a certified device (密码卡,
// UKey). The helper gets one JSON object on stdin:
//
//	{"version":1,"do":"load"}     or "create"
//
// and answers with one on stdout, then exits with 0:
//
//	{"ok":true,"key":"<32 bytes, base64>"}
//	{"ok":false,"error":"no-key"}                       there is none yet
//	{"ok":false,"error":"exists"}                       on create
//	{"ok":false,"error":"cannot-create"}                on create
//	{"ok":false,"error":"trouble","text":"请插上密码钥匙。"}  plain words for people
//
// Anything else, a wrong exit code or silence is trouble.
type Exec struct {
	Path    string // absolute path of the program
	Args    []string
	Env     []string      // whole environment of the helper
	Timeout time.Duration // 0 = HelperTimeout
}

// Name implements Source.
func (e Exec) Name() string { return NameExec }

// Strength implements Strengther.
func (e Exec) Strength() string {
	return "密钥由外接密码设备给出：没有这台设备，硬盘被拷走或整机被盗也读不出数据。"
}

// Load implements Source.
func (e Exec) Load(ctx context.Context) ([]byte, error) { return e.ask(ctx, "load") }

// Create implements Source.
func (e Exec) Create(ctx context.Context) ([]byte, error) { return e.ask(ctx, "create") }

type helperRequest struct {
	Version int    `json:"version"`
	Do      string `json:"do"`
}

type helperAnswer struct {
	OK    bool   `json:"ok"`
	Key   []byte `json:"key"`
	Error string `json:"error"`
	Text  string `json:"text"`
}

func (e Exec) ask(ctx context.Context, do string) ([]byte, error) {
	limit := e.Timeout
	if limit == 0 {
		limit = HelperTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	req, err := json.Marshal(helperRequest{helperVersion, do})
	if err != nil {
		return nil, fmt.Errorf("write the helper's request: %w", err)
	}
	var out, errs head
	defer out.wipe()
	cmd := exec.CommandContext(ctx, e.Path, e.Args...)
	cmd.Env = append([]string{}, e.Env...) // never the terminal's own
	cmd.Stdin = bytes.NewReader(append(req, '\n'))
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = helperGrace
	ownGroup(cmd)
	if err := cmd.Run(); err != nil {
		text := "密码设备的程序没有正常回答，请检查设备是否插好。"
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			text = "密码设备没有及时回答，请检查设备是否插好。"
		}
		return nil, &Trouble{NameExec, text, fmt.Errorf("run %s: %w: %.200q", e.Path, err, errs.b[:errs.n])}
	}
	if out.over {
		return nil, e.garbled(fmt.Errorf("more than %d bytes", maxHelperOutput))
	}
	return e.answer(out.b[:out.n])
}

// answer reads what the helper said. No error may hold its text: it may be
// the key.
func (e Exec) answer(text []byte) ([]byte, error) {
	var a helperAnswer
	if err := json.Unmarshal(text, &a); err != nil {
		return nil, e.garbled(errors.New("not a JSON answer"))
	}
	switch {
	case a.OK && len(a.Key) == Size:
		return a.Key, nil
	case a.OK:
		n := len(a.Key)
		clear(a.Key)
		return nil, e.garbled(fmt.Errorf("a key of %d bytes", n))
	case a.Error == "no-key":
		return nil, fmt.Errorf("key source %s: %w", NameExec, ErrNoKey)
	case a.Error == "exists":
		return nil, fmt.Errorf("key source %s: %w", NameExec, ErrExists)
	case a.Error == "cannot-create":
		return nil, fmt.Errorf("key source %s: %w", NameExec, ErrCannotCreate)
	case a.Error == "trouble" && a.Text != "":
		return nil, &Trouble{NameExec, a.Text, nil}
	}
	return nil, e.garbled(fmt.Errorf("answer %.40q", a.Error))
}

func (e Exec) garbled(err error) error {
	return &Trouble{NameExec, "密码设备的程序回答不对，请找技术员。", fmt.Errorf("%s: %w", e.Path, err)}
}

// head keeps the beginning of what a helper writes, in memory that is never
// copied and can be wiped.
type head struct {
	b    [maxHelperOutput]byte
	n    int
	over bool
}

// Write takes what fits and drops the rest, so that a talkative helper is
// never blocked.
func (h *head) Write(p []byte) (int, error) {
	n := copy(h.b[h.n:], p)
	h.n += n
	h.over = h.over || n < len(p)
	return len(p), nil
}

func (h *head) wipe() { clear(h.b[:]) }
