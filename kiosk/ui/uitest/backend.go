// Package uitest is a Backend in memory with a made-up service point, for tests
// that build and look at pages without devices, disk or line. It exists so that
// every page can be drawn in every size, palette and orientation in seconds.
//
// It guarantees nothing to a person: no case of it goes anywhere.
package uitest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"image"
	"image/color"
	"io/fs"
	"slices"
	"sync"
	"time"

	"cunban/assets"
	"cunban/device"
	"cunban/kiosk/cases"
	"cunban/kiosk/catalog"
	"cunban/kiosk/divisions"
	"cunban/kiosk/form"
	"cunban/kiosk/oplog"
	"cunban/kiosk/paper"
	"cunban/kiosk/resident"
	"cunban/kiosk/session"
	"cunban/kiosk/staff"
	"cunban/kiosk/ui"
	ksync "cunban/sync"
	"cunban/sync/wire"
)

// Region is the made-up service point's division code (芮城县古魏镇).
const Region = "140830100008"

// Backend is the fake. Fields may be set before use.
type Backend struct {
	Cat       *catalog.Catalogue
	Div       *divisions.Divisions
	At        time.Time
	PointV    ui.Point
	Card      ui.CardView
	In        bool
	LineV     ksync.LineState
	DevicesV  []device.Health
	SourcesV  []ui.Source
	Cases     map[string]cases.Case
	EventsV   map[string][]cases.Event
	ItemsV    []cases.Item
	Drafts    []cases.Draft
	SubmitErr error
	Said      []string
	VerifyOut wire.VerifyClaimOut
	RecordsV  wire.RecordsOut
	RecordErr error
	TakeV     *ui.Shot // what a capture gives, nil for a clear page
	TakeErr   error
	// PIN, if set, is the PIN pad.
	PIN     func(ctx context.Context, progress func(string)) error
	RoomErr error
	ListErr error
	// Gate, if set, holds Room until it is closed.
	Gate chan struct{}
	// OnSession hears of the ends of sessions, as the shell does.
	OnSession func(session.Event)

	mu      sync.Mutex
	sess    session.Snapshot
	live    ui.Glimpse
	liveErr error
	viewers int // calls of Live that have not come back
}

var _ ui.Backend = (*Backend)(nil)

// New makes a fake with everything in order.
func New() (*Backend, error) {
	cat, err := catalog.Embedded()
	if err != nil {
		return nil, err
	}
	div, err := divisions.Embedded(Region)
	if err != nil {
		return nil, err
	}
	at := time.Date(2026, 11, 23, 9, 41, 0, 0, ui.Beijing)
	good := func(k device.Kind, name string) device.Health {
		return device.Health{Kind: k, Name: name, State: device.StateReady, Since: at, LastGood: at}
	}
	return &Backend{
		Cat: cat, Div: div, At: at,
		PointV: ui.Point{County: "芮城县", Town: "古魏镇", Village: "东关社区", Name: "芮城县就业社保服务", Region: Region,
			TerminalID: "RC-0001", Serial: "SN-TEST-0001", Enrolled: true, Phone: "12333", Hours: "工作日 8:00—12:00",
			Ticker: "城乡居民养老保险 2027 年度缴费 12 月 1 日开始"},
		Card:  ui.CardView{Phase: ui.CardWaiting, SocialReader: true, IDReader: true},
		LineV: ksync.LineState{Kind: ksync.LineUp, Text: "已联网", Since: at},
		DevicesV: []device.Health{good(device.KindCardReader, "Test Reader"), good(device.KindIDReader, "SDT"),
			{Kind: device.KindScanner, Name: "test:0", State: device.StateReady, Demo: true, Since: at},
			{Kind: device.KindPagePrinter, Name: "ipp", State: device.StateFault, Code: "PR-10", Cause: "打印机没有纸了", Remedy: "请放入 A4 纸", Since: at},
			good(device.KindSpeech, "espeak-ng")},
		SourcesV: []ui.Source{{Kind: device.KindScanner, Name: "扫描仪", Health: good(device.KindScanner, "test:0")}},
		Cases:    map[string]cases.Case{}, EventsV: map[string][]cases.Event{}, VerifyOut: wire.VerifyClaimOut{Result: wire.VerifyMatch},
	}, nil
}

// Claim is a made-up person (test number).
func Claim() resident.Claim {
	n, err := resident.ParseIDNumber("140830195603120024")
	if err != nil {
		panic(err) // a constant
	}
	return resident.Claim{Source: resident.FromSocialCard, Number: n, Name: resident.NewName("张桂兰"), NameExact: true, Sex: "2", Ethnic: "01",
		BirthDate: "19560312", CardNumber: "A12345678", ReadAt: time.Date(2026, 11, 23, 9, 41, 0, 0, ui.Beijing), Verification: resident.Unverified}
}

// Facts.

func (b *Backend) Now() time.Time                { return b.At }
func (b *Backend) Point() ui.Point               { return b.PointV }
func (b *Backend) Catalogue() *catalog.Catalogue { return b.Cat }
func (b *Backend) Calendar() cases.Calendar      { return cases.Calendar{} }
func (b *Backend) Divisions() form.Divisions     { return b.Div }
func (b *Backend) Line() ksync.LineState         { return b.LineV }
func (b *Backend) Version() string               { return "test" }
func (b *Backend) Devices() []device.Health      { return b.DevicesV }
func (b *Backend) Have() form.Devices {
	return form.Devices{Scan: len(b.SourcesV) > 0, PINPad: b.PIN != nil}
}
func (b *Backend) Office() paper.Office {
	return paper.Office{County: "芮城县人力资源和社会保障局", Point: "古魏镇东关社区就业社保服务点", Terminal: "RC-0001",
		Person: "李秀英", PersonPhone: "12333", ConsultPhone: "12333", ComplaintPhone: "12333", Hours: "工作日 8:00—12:00"}
}

// Session tells who is at the screen.
func (b *Backend) Session() session.Snapshot {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.sess
	if s.Phase == "" {
		s.Phase = session.Nobody
	}
	return s
}

func (b *Backend) begin() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sess.Phase != session.Active {
		b.sess = session.Snapshot{Number: b.sess.Number + 1, Phase: session.Active, StartedAt: b.At}
	}
	return b.sess.Number
}

// Cards.

func (b *Backend) CardView() ui.CardView { return b.Card }
func (b *Backend) Reread()               {}
func (b *Backend) CardIn() bool          { return b.In }
func (b *Backend) Leaving()              {}
func (b *Backend) Browse() uint64        { return b.begin() }

// NextResident ends the session and begins another.
func (b *Backend) NextResident() uint64 {
	b.EndSession(session.Done)
	return b.begin()
}

// BeginSession implements ui.Backend.
func (b *Backend) BeginSession(c resident.Claim) uint64 {
	n := b.begin()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sess.Resident = &c
	return n
}

// EndSession implements ui.Backend.
func (b *Backend) EndSession(why session.Reason) {
	b.mu.Lock()
	was, n := b.sess.Phase, b.sess.Number
	b.sess.Phase, b.sess.Resident = session.Nobody, nil
	if b.Card.Phase == ui.CardRead { // a card lends its claim to one session
		b.Card.Phase, b.Card.Claim = ui.CardWaiting, resident.Claim{}
	}
	b.mu.Unlock()
	if was == session.Active && b.OnSession != nil {
		b.OnSession(session.Event{Kind: session.Ended, Session: n, Reason: why})
	}
}

// Verify implements ui.Backend.
func (b *Backend) Verify(_ context.Context, c resident.Claim) (resident.Claim, wire.VerifyClaimOut, error) {
	if b.VerifyOut.Result == wire.VerifyMatch {
		c.Verification = resident.VerifiedOnline
	}
	return c, b.VerifyOut, nil
}

// Cases.

func (b *Backend) NewCaseID() (string, error) { return cases.NewID(rand.Reader) }

// Room waits at the gate and gives RoomErr.
func (b *Backend) Room(ctx context.Context) error {
	if b.Gate != nil {
		select {
		case <-b.Gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return b.RoomErr
}
func (b *Backend) Prefill(context.Context, string, resident.Claim) (map[string]string, error) {
	return nil, nil
}

// Submit keeps the draft and says that it is saved.
func (b *Backend) Submit(_ context.Context, d cases.Draft) (cases.Case, error) {
	if b.SubmitErr != nil {
		return cases.Case{}, b.SubmitErr
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	// The page zeroes its own copy when this returns.
	d.Answers, d.Signature = slices.Clone(d.Answers), slices.Clone(d.Signature)
	b.Drafts = append(b.Drafts, d)
	c := cases.Case{ID: d.ID, Revision: d.Revision, Service: d.Service, ServiceName: d.ServiceName, State: cases.Saved, SavedAt: b.At,
		UpdatedAt: b.At, DueDate: cases.Calendar{}.Due(b.At, d.LimitDays), Mode: d.Mode, Outstanding: d.Outstanding, Region: d.Region}
	b.Cases[c.ID] = c
	b.EventsV[c.ID] = append(b.EventsV[c.ID], cases.Event{CaseID: c.ID, At: b.At, State: cases.Saved, Text: "已保存，待上传"})
	return c, nil
}

func (b *Backend) Case(_ context.Context, id string) (cases.Case, error) { return b.Cases[id], nil }
func (b *Backend) Timeline(_ context.Context, id string) ([]cases.Event, error) {
	return b.EventsV[id], nil
}
func (b *Backend) MyCases(context.Context, resident.Claim) ([]cases.Case, error) {
	var out []cases.Case
	for _, c := range b.Cases {
		out = append(out, c)
	}
	return out, nil
}
func (b *Backend) Answers(_ context.Context, id string, _ resident.Claim) (wire.CaseAnswersOut, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, d := range b.Drafts {
		if d.ID == id {
			return wire.CaseAnswersOut{CaseID: id, Revision: d.Revision, Service: d.Service, Answers: d.Answers}, nil
		}
	}
	return wire.CaseAnswersOut{}, ksync.ErrOffline
}
func (b *Backend) Withdraw(_ context.Context, id string) (cases.Case, error) {
	c := b.Cases[id]
	c.State = cases.Withdrawn
	b.Cases[id] = c
	return c, nil
}
func (b *Backend) Records(context.Context, string, resident.Claim, int) (wire.RecordsOut, time.Time, error) {
	return b.RecordsV, b.At, b.RecordErr
}

// Listing gives the sample objects.
func (b *Backend) Listing(_ context.Context, k wire.Kind) ([]json.RawMessage, time.Time, bool, error) {
	if b.ListErr != nil {
		return nil, time.Time{}, false, b.ListErr
	}
	name := map[wire.Kind]string{wire.KindJob: "jobs", wire.KindCourse: "courses", wire.KindPolicy: "policies", wire.KindEvent: "events",
		wire.KindPost: "posts", wire.KindNotice: "notices"}[k]
	raw, err := fs.ReadFile(assets.Samples(), name+".json")
	if err != nil {
		return nil, b.At, true, nil
	}
	var out []json.RawMessage
	err = json.Unmarshal(raw, &out)
	return out, b.At, true, err
}
func (b *Backend) Rate(context.Context, string, int) error                                     { return nil }
func (b *Backend) CallHelp(context.Context, string)                                            {}
func (b *Backend) Note(context.Context, oplog.Event, oplog.Outcome, string, map[string]string) {}

// Papers.

func (b *Backend) Receipt(_ context.Context, id string, c resident.Claim, got []paper.Material) ([]byte, error) {
	return paper.Receipt(paper.ReceiptData{Case: b.Cases[id], Claim: c, Received: got, Office: b.Office(), PrintedAt: b.At})
}
func (b *Backend) Notice(context.Context, string) ([]byte, error) { return []byte("%PDF"), nil }
func (b *Backend) Progress(context.Context, string, resident.Claim) ([]byte, error) {
	return []byte("%PDF"), nil
}
func (b *Backend) Table(context.Context, string, wire.RecordsOut, resident.Claim, time.Time) ([]byte, error) {
	return []byte("%PDF"), nil
}
func (b *Backend) TestPage(context.Context) ([]byte, error) { return []byte("%PDF"), nil }

// Preview gives an empty sheet.
func (b *Backend) Preview(context.Context, []byte, int, int) (image.Image, error) {
	return sheet(), nil
}
func (b *Backend) Print(context.Context, string, []byte, func(string)) (device.PrintResult, error) {
	return device.PrintResult{End: device.PrintDone}, nil
}
func (b *Backend) Printer() device.Health { return b.DevicesV[3] }

func sheet() image.Image {
	img := image.NewGray(image.Rect(0, 0, 420, 594))
	for i := range img.Pix {
		img.Pix[i] = 0xff
	}
	for y := 40; y < 560; y += 24 {
		for x := 40; x < 380-(y*7)%120; x++ {
			img.SetGray(x, y, color.Gray{0x40})
			img.SetGray(x, y+1, color.Gray{0x40})
		}
	}
	return img
}

// Capture.

func (b *Backend) Sources() []ui.Source { return b.SourcesV }

// See puts something in front of the camera, or lets it fail.
func (b *Backend) See(g ui.Glimpse, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.live, b.liveErr = g, err
}

// Viewers is how many look through the camera now.
func (b *Backend) Viewers() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.viewers
}

func (b *Backend) view(n int) (ui.Glimpse, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.viewers += n
	return b.live, b.liveErr
}

// Live shows what See put there.
func (b *Backend) Live(ctx context.Context, _ device.Kind, fn func(ui.Glimpse)) error {
	_, _ = b.view(1)
	defer func() { _, _ = b.view(-1) }()
	// A picture that comes before the page is laid out is left out: a camera
	// goes on giving them.
	t := time.NewTicker(20 * time.Millisecond)
	defer t.Stop()
	for {
		g, err := b.view(0)
		if err != nil {
			return err
		}
		fn(g)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
	}
}

// ChangePIN implements ui.PINPad.
func (b *Backend) ChangePIN(ctx context.Context, progress func(string)) error {
	return b.PIN(ctx, progress)
}

// Take implements ui.Capture.
func (b *Backend) Take(context.Context, device.Kind) (ui.Shot, error) {
	if b.TakeErr != nil {
		return ui.Shot{}, b.TakeErr
	}
	if b.TakeV != nil {
		s := *b.TakeV
		s.Preview = sheet()
		return s, nil
	}
	return ui.Shot{JPEG: []byte{1, 2, 3}, Preview: sheet(), OK: true, Source: "test"}, nil
}

// BothSides puts two sides on one page.
func (b *Backend) BothSides(_ context.Context, front, back ui.Shot) (ui.Shot, error) {
	return ui.Shot{JPEG: []byte{1, 2, 3}, Preview: sheet(), OK: front.OK && back.OK, Sides: 2, Source: "test"}, nil
}

// Voice.

// Say keeps what was said.
func (b *Backend) Say(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.Said = append(b.Said, text)
}
func (b *Backend) Hush()        {}
func (b *Backend) Voiced() bool { return true }

// Staff and technicians.

func (b *Backend) SignIn(_ context.Context, number, pin string, role staff.Role) (staff.Account, error) {
	if pin != "246810" {
		return staff.Account{}, &ui.Trouble{Code: "AC-01", Text: "工号或密码不对，还可以试 4 次", Remedy: "忘了密码，请联系县里账户管理员"}
	}
	b.begin()
	return staff.Account{Number: number, Name: "李秀英", Roles: []staff.Role{role}, Status: staff.Active}, nil
}
func (b *Backend) SignOut() { b.EndSession(session.SignedOut) }
func (b *Backend) StaffCases(context.Context, cases.Query) ([]cases.Case, error) {
	return b.MyCases(context.Background(), resident.Claim{})
}
func (b *Backend) Queue(context.Context) ([]cases.Item, cases.Counts, error) {
	return b.ItemsV, cases.Counts{Total: 9, Done: 7, Waiting: 1, Attention: 1}, nil
}
func (b *Backend) Resend(context.Context, string) error { return nil }
func (b *Backend) ConfirmPerson(c resident.Claim) (resident.Claim, error) {
	c.Verification = resident.VerifiedByStaff
	return c, nil
}
func (b *Backend) Status(context.Context) (ui.Status, error) {
	return ui.Status{Version: "test", Program: "村办 cunban", StartedAt: b.At, Enrolled: true, Upstream: "https://county.example", Line: b.LineV,
		Identity:  wire.Identity{ID: "RC-0001", Region: Region, Village: "东关社区"},
		CertUntil: b.At.AddDate(0, 0, 30), Catalogue: b.Cat.Version, Log: ui.LogStatus{Size: 1234, Countersigned: 1200, CheckpointAt: b.At, Root: make([]byte, 32)},
		Vault: ui.VaultStatus{Path: "/var/lib/cunban/vault", Bytes: 3 << 20, WALBytes: 128 << 10, FreeBytes: 60 << 30, KeySource: "file",
			KeyWords: "密钥在本机文件里：只能防止单独拷走数据库", Cases: 12}}, nil
}
func (b *Backend) SelfTest(_ context.Context, k device.Kind) device.Health {
	return device.Health{Kind: k, State: device.StateReady}
}
func (b *Backend) SelfTestAll(context.Context) []device.Health { return b.DevicesV }
func (b *Backend) VerifyLog(context.Context, func(done, total int64)) (ui.LogCheck, error) {
	return ui.LogCheck{OK: true, Records: 1234, Words: "日志完整，1234 条记录都对得上", Took: time.Second}, nil
}
func (b *Backend) ExportLog(context.Context) (string, error) { return "export/oplog.txt", nil }
func (b *Backend) Enrol(context.Context, string, func(string)) (wire.Identity, error) {
	return wire.Identity{ID: "RC-0001", Village: "东关社区"}, nil
}
func (b *Backend) Probe(context.Context) ksync.LineState { return b.LineV }
func (b *Backend) Quit()                                 {}
