package app

import (
	"context"
	"time"

	"cunban/device"
	"cunban/kiosk/cases"
	"cunban/kiosk/oplog"
	"cunban/kiosk/paper"
	"cunban/kiosk/resident"
	"cunban/kiosk/ui"
	"cunban/sync/wire"
)

// Receipt implements ui.Backend.
func (a *App) Receipt(ctx context.Context, caseID string, c resident.Claim, got []paper.Material) ([]byte, error) {
	k, err := a.vault.Case(ctx, caseID)
	if err != nil {
		return nil, storeTrouble(err)
	}
	qr := ""
	p, err := a.vault.LogProof(ctx, caseID)
	var r oplog.Receipt
	if err == nil {
		r, err = oplog.NewReceipt(p.Record, p.Hashes, p.Note)
	}
	if err == nil {
		qr = r.Text()
	} else {
		a.log.Warn("receipt without proof", "case", caseID, "err", err)
	}
	d := paper.ReceiptData{Case: inBeijing(k), Claim: c, Received: got, Office: a.Office(), QR: qr,
		PrintedAt: a.Now().In(ui.Beijing), Demo: a.Point().Demo}
	if a.onRoll() {
		return paper.Slip(d)
	}
	return paper.Receipt(d)
}

// Notice implements ui.Backend.
func (a *App) Notice(_ context.Context, service string) ([]byte, error) {
	return paper.Notice(paper.NoticeData{Service: a.Catalogue().Service(service), Office: a.Office(),
		PrintedAt: a.Now().In(ui.Beijing), Demo: a.Point().Demo})
}

// Progress implements ui.Backend.
func (a *App) Progress(ctx context.Context, caseID string, c resident.Claim) ([]byte, error) {
	k, err := a.vault.Case(ctx, caseID)
	if err != nil {
		return nil, storeTrouble(err)
	}
	events, err := a.vault.Timeline(ctx, caseID)
	if err != nil {
		return nil, storeTrouble(err)
	}
	for i := range events {
		events[i].At = events[i].At.In(ui.Beijing)
	}
	return paper.Progress(paper.ProgressData{Case: inBeijing(k), Claim: c, Events: events, Office: a.Office(),
		PrintedAt: a.Now().In(ui.Beijing), Demo: a.Point().Demo})
}

// Table implements ui.Backend.
func (a *App) Table(_ context.Context, title string, r wire.RecordsOut, c resident.Claim, asOf time.Time) ([]byte, error) {
	d := paper.TableData{Title: title, Claim: c, Columns: r.Columns, Rows: r.Rows, Note: r.Note, AsOf: asOf.In(ui.Beijing),
		Office: a.Office(), PrintedAt: a.Now().In(ui.Beijing), Demo: a.Point().Demo}
	for _, s := range r.Summary {
		d.Summary = append(d.Summary, [2]string{s.Label, s.Value})
	}
	return paper.Table(d)
}

// TestPage implements ui.Backend.
func (a *App) TestPage(context.Context) ([]byte, error) {
	var lines []paper.ReportLine
	for _, h := range a.Devices() {
		m := paper.MarkPass
		if !h.State.Usable() {
			m = paper.MarkFail
		}
		lines = append(lines, paper.ReportLine{Name: deviceName(h.Kind), Value: first(h.Cause, "正常"), Mark: m, Remedy: h.Remedy})
	}
	return paper.Report(paper.ReportData{Title: "打印测试页", Technician: account(a), Office: a.Office(),
		Sections: []paper.ReportSection{{Title: "设备", Lines: lines}}, PrintedAt: a.Now().In(ui.Beijing), Demo: a.Point().Demo})
}

func account(a *App) string {
	if t := a.sess.Current().Technician; t != nil {
		return t.Number
	}
	return ""
}

// inBeijing gives a case's times in the zone of the paper.
func inBeijing(k cases.Case) cases.Case {
	for _, t := range []*time.Time{&k.StartedAt, &k.SavedAt, &k.UpdatedAt, &k.AcceptedAt} {
		if !t.IsZero() {
			*t = t.In(ui.Beijing)
		}
	}
	return k
}

// deviceName is what people call a device.
func deviceName(k device.Kind) string {
	switch k {
	case device.KindCardReader:
		return "社保卡读卡器"
	case device.KindIDReader:
		return "身份证读卡器"
	case device.KindDocCamera:
		return "高拍仪"
	case device.KindScanner:
		return "扫描仪"
	case device.KindPageFolder:
		return "帮办员电脑"
	case device.KindPagePrinter:
		return "打印机"
	case device.KindReceiptPrint:
		return "小票打印机"
	case device.KindSpeech:
		return "语音"
	case device.KindLights:
		return "指示灯"
	case device.KindVendor:
		return "厂家设备"
	}
	return string(k)
}

// Say implements ui.Backend.
func (a *App) Say(text string) {
	if a.speaker != nil {
		a.speaker.Say(text)
	}
}

// Hush implements ui.Backend.
func (a *App) Hush() {
	if a.speaker != nil {
		a.speaker.Stop()
	}
}

// Voiced implements ui.Backend.
func (a *App) Voiced() bool { return a.speaker != nil && a.speaker.Health().State.Usable() }
