package wire

import (
	"fmt"
	"strings"
	"time"

	"cunban/kiosk/seal"
)

// Pong answers PathPing.
type Pong struct {
	Terminal string    `json:"terminal"`
	Time     time.Time `json:"time"` // the county's clock
}

// Health is what a terminal tells of itself, every few minutes and when
// something changes. It holds nothing about residents.
type Health struct {
	Terminal  string    `json:"terminal"`
	At        time.Time `json:"at"`
	StartedAt time.Time `json:"started_at"`
	BootID    string    `json:"boot_id"`
	Version   string    `json:"version"`   // of the program
	Catalogue string    `json:"catalogue"` // version in use
	Demo      bool      `json:"demo"`
	Devices   []Device  `json:"devices"`
	Queue     Queue     `json:"queue"`
	Disk      Disk      `json:"disk"`
	// ClockOffset is the county's time minus the terminal's, milliseconds.
	ClockOffset int64   `json:"clock_offset_ms"`
	Faults      []Fault `json:"faults,omitempty"`
	// Ratings are what residents said of cases lately (好差评); the same one may
	// come with many reports and counts once.
	Ratings []Rating `json:"ratings,omitempty"`
	// Refused counts downlink objects refused since the program started.
	Refused int64 `json:"refused_changes"`
}

// MaxRatings is how many ratings one report carries.
const MaxRatings = 50

// Rating is how satisfied a resident was with a case: 5 非常满意 … 1 非常不满意.
type Rating struct {
	CaseID string    `json:"case_id"`
	Stars  int       `json:"stars"`
	At     time.Time `json:"at"`
}

// Words of the five levels (国办发〔2019〕51号).
func (r Rating) Words() string {
	switch r.Stars {
	case 5:
		return "非常满意"
	case 4:
		return "满意"
	case 3:
		return "基本满意"
	case 2:
		return "不满意"
	case 1:
		return "非常不满意"
	}
	return ""
}

// Device is the condition of one device; the words are device.Health's.
type Device struct {
	Kind     string           `json:"kind"`
	Name     string           `json:"name"`
	State    string           `json:"state"` // ready, low, busy, absent, fault, unknown
	Code     string           `json:"code,omitempty"`
	Cause    string           `json:"cause,omitempty"`
	Remedy   string           `json:"remedy,omitempty"`
	Detail   string           `json:"detail,omitempty"`
	Demo     bool             `json:"demo"`
	Since    time.Time        `json:"since"`
	LastGood *time.Time       `json:"last_good,omitempty"` // last success, nil if never
	Counters map[string]int64 `json:"counters,omitempty"`  // since the terminal was set up; see CounterWords
}

// Title is what people call a device.
func (d Device) Title() string {
	if t, ok := deviceTitles[d.Kind]; ok {
		return t
	}
	return d.Kind
}

var deviceTitles = map[string]string{
	"card_reader": "社保卡读卡器", "id_reader": "身份证读卡器", "doc_camera": "高拍仪", "scanner": "扫描仪", "page_folder": "帮办员电脑的文件夹",
	"page_printer": "打印机", "receipt_print": "小票打印机", "speech": "语音", "lights": "指示灯", "vendor": "厂家设备",
}

// Condition is a device's state in words.
func (d Device) Condition() string {
	switch d.State {
	case "ready":
		return "正常"
	case "low":
		return "快用完了"
	case "busy":
		return "正在用"
	case "absent":
		return "没有接上"
	case "fault":
		return "有故障"
	}
	return "还没检查"
}

// Counted are its counters in words.
func (d Device) Counted() string { return CounterWords(d.Counters) }

// counterWords are the counters that people are told of, in this order.
var counterWords = []struct{ key, before, after string }{
	{"reads", "读卡", "次"}, {"unread", "没读成", "次"}, {"torn", "卡拔早了", "次"}, {"pages", "拍、扫", "页"}, {"failures", "没成", "次"},
	{"jobs_done", "打好", "次"}, {"jobs_failed", "没打成", "次"}, {"jobs_unknown", "没弄清打没打好", "次"},
	{"jams", "卡纸", "次"}, {"paper_out", "缺纸", "次"}, {"faults", "故障", "次"}, {"gone", "断开", "次"},
}

// CounterWords says in words what a device did: 读卡 120 次，没读成 3 次. What is
// zero, and what only technicians understand, is left out.
func CounterWords(c map[string]int64) string {
	var parts []string
	for _, w := range counterWords {
		if n := c[w.key]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d %s", w.before, n, w.after))
		}
	}
	return strings.Join(parts, "，")
}

// Queue is in = done + waiting + attention.
type Queue struct {
	Total     int        `json:"total"`
	Waiting   int        `json:"waiting"`
	Sent      int        `json:"sent"`
	Done      int        `json:"done"`
	Attention int        `json:"attention"`
	Oldest    *time.Time `json:"oldest,omitempty"` // save time of the oldest unsent case
}

// Disk is the room left on the data disk.
type Disk struct {
	FreeBytes  int64 `json:"free_bytes"`
	VaultBytes int64 `json:"vault_bytes"`
}

// Fault is something a person should look at; it becomes a ticket under the
// 13710 rules.
type Fault struct {
	Code   string    `json:"code"`
	Text   string    `json:"text"`   // plain Chinese
	Level  int       `json:"level"`  // 1 whole terminal, 2 main job hindered, 3 one device, 4 supplies
	Since  time.Time `json:"since"`  //
	Detail string    `json:"detail"` // technical
}

// HealthReply acknowledges a report.
type HealthReply struct {
	Time time.Time `json:"time"` // the county's clock
}

// CheckpointPut carries one signed checkpoint of the operation log, a signed
// note (golang.org/x/mod/sumdb/note text form) as kiosk/oplog makes it, and the
// proof that the log only grew since the county signed it last.
type CheckpointPut struct {
	Note string `json:"note"`
	// Since is the size of the largest checkpoint that the terminal has back
	// with the county's signature; 0 = none.
	Since int64 `json:"since,omitempty"`
	// Proof is the RFC 6962 consistency proof (hashes of SM3) from size Since
	// to the note's size. Empty when Since is 0 or equal to the note's size.
	Proof [][]byte `json:"proof,omitempty"`
	// PublicKey is the key that signs this terminal's log, SubjectPublicKeyInfo
	// in DER. The county keeps the first one that arrives over the terminal's
	// own certificate; another one later is refused (log-signature).
	PublicKey []byte `json:"public_key,omitempty"`
}

// Limits of a consistency proof: one hash per level of a tree of 2^63 leaves,
// twice.
const maxProof = 128

// maxPublicKey bounds a SubjectPublicKeyInfo; that of SM2 has 91 bytes.
const maxPublicKey = 512

// Validate checks the shape; whether the proof holds is kiosk/oplog's to say.
func (c CheckpointPut) Validate() error {
	switch {
	case c.Note == "":
		return invalid("checkpoint without a note")
	case c.Since < 0:
		return invalid("checkpoint since %d", c.Since)
	case c.Since == 0 && len(c.Proof) > 0:
		return invalid("proof without the size it begins at")
	case len(c.PublicKey) > maxPublicKey:
		return invalid("public key of %d bytes", len(c.PublicKey))
	case len(c.Proof) > maxProof:
		return invalid("proof of %d hashes", len(c.Proof))
	}
	for i, h := range c.Proof {
		if len(h) != seal.DigestSize {
			return invalid("hash %d of the proof has %d bytes", i, len(h))
		}
	}
	return nil
}

// CheckpointReply carries the same note with the county's signature line
// added. When Since is smaller than what the county signed last (its answer got
// lost), the answer is the problem log-smaller with that size: hand in again
// with a proof from there.
type CheckpointReply struct {
	Note string `json:"note"`
	Size int64  `json:"size"` // largest size the county has seen
}
