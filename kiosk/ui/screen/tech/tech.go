// Package tech holds the technician's pages: devices with their self-tests,
// network, queue, operation log, vault, versions, enrolment, and the way out of
// the full screen. They exist so that somebody with a telephone at his ear can
// say what is wrong and mend it.
//
// They guarantee that every state shown is the live one, that each fault has
// its cause and its remedy beside it, and that nothing of a resident is here.
package tech

import (
	"context"
	"fmt"
	"strings"
	"time"

	"fyne.io/fyne/v2"

	"cunban/device"
	"cunban/kiosk/oplog"
	"cunban/kiosk/staff"
	"cunban/kiosk/ui"
	"cunban/kiosk/ui/screen/desk"
	"cunban/kiosk/ui/theme"
	"cunban/kiosk/ui/widget"
	"cunban/sync"
	"cunban/sync/wire"
)

// SignIn signs a technician in.
func SignIn() ui.Page {
	return desk.NewSignIn(staff.Technician, "技术员登录", func(c *ui.Ctx, a staff.Account) {
		c.Visit.Tech = &a
		c.Go(Home())
	})
}

// Home is the technician's first page.
func Home() ui.Page { return home{} }

type home struct{}

// View implements ui.Page.
func (home) View(c *ui.Ctx) ui.View {
	l := c.Look
	if c.Visit.Tech == nil {
		c.Post(func() { c.Go(SignIn()) })
		return ui.View{ID: "tech-none", Title: "技术员", Body: widget.Spring()}
	}
	bad := 0
	for _, h := range c.B.Devices() {
		if !fine(h.State) {
			bad++
		}
	}
	devices := "全部正常"
	if bad > 0 {
		devices = fmt.Sprintf("%d 个要看一看", bad)
	}
	tile := func(name, icon, title, sub string, p func() ui.Page) fyne.CanvasObject {
		return widget.NewTile(l, name, widget.TileOptions{Icon: icon, Title: title, Sub: sub}, func() { c.Go(p()) })
	}
	full := "离开全屏"
	if !c.FullScreen() {
		full = "回到全屏"
	}
	tiles := []fyne.CanvasObject{
		tile("devices", "gear", "设备", devices, func() ui.Page { return &devicesPage{} }),
		tile("network", "network", "网络", word(c.B.Line()), func() ui.Page { return &network{} }),
		tile("queue", "queue", "上传队列", "没上传的办件", func() ui.Page { return &queue{} }),
		tile("log", "log", "操作日志", "核验、导出", func() ui.Page { return &logPage{} }),
		tile("vault", "disk", "数据", "密钥、大小、空间", func() ui.Page { return &vaultPage{} }),
		tile("version", "info", "版本", c.B.Version(), func() ui.Page { return &version{} }),
		tile("enrol", "network", "登记", "换终端或重新登记", func() ui.Page { return &enrol{back: Home} }),
		widget.NewTile(l, "fullscreen", widget.TileOptions{Icon: "zoom", Title: full, Sub: "用桌面时离开全屏"}, func() {
			go c.B.Note(context.WithoutCancel(c), oplog.TechnicianLeaveFullScreen, oplog.OK, "", nil)
			c.SetFullScreen(!c.FullScreen())
			c.Redraw()
		}),
		widget.NewTile(l, "quit", widget.TileOptions{Icon: "lock", Title: "停止程序", Sub: "先存好再停，不丢数据"}, func() {
			c.Ask("要停止程序吗？", "停下以后群众不能办事。没有上传的办件都在本机。",
				ui.Action{Name: "quit-yes", Label: "停止", Danger: true, Do: c.B.Quit}, ui.Action{Name: "quit-no", Label: "不停", Do: func() {}})
		}),
	}
	cols := 3
	if l.Portrait {
		cols = 2
	}
	return ui.View{ID: "tech-home", Title: "技术员", NoHome: true, OnDevice: func(device.Health) { c.Redraw() }, OnLine: func(sync.LineState) { c.Redraw() },
		Body:  widget.Column(l.Gap(), widget.NewHeading(l, "这台终端", c.B.Point().TerminalID+" · "+c.B.Point().Village, nil), widget.Fill(widget.Even(cols, l.Gap(), tiles...))),
		Extra: []ui.Action{{Name: "sign-out", Label: "退出登录", Icon: "lock", Do: c.B.SignOut}}}
}

func fine(s device.State) bool { return s.Usable() || s == device.StateBusy }

func word(l sync.LineState) string { return l.Text }

func home2(c *ui.Ctx) func() { return func() { c.Go(Home()) } }

// DeviceWords are a device's name and state in words.
func DeviceWords(h device.Health) (name, state string, tone widget.Tone) {
	switch h.Kind {
	case device.KindCardReader:
		name = "社保卡读卡器"
	case device.KindIDReader:
		name = "身份证读卡器"
	case device.KindDocCamera:
		name = "高拍仪"
	case device.KindScanner:
		name = "扫描仪"
	case device.KindPageFolder:
		name = "帮办员电脑的文件夹"
	case device.KindPagePrinter:
		name = "打印机"
	case device.KindReceiptPrint:
		name = "小票打印机"
	case device.KindSpeech:
		name = "语音"
	case device.KindLights:
		name = "指示灯"
	case device.KindVendor:
		name = "厂家设备"
	}
	switch h.State {
	case device.StateReady:
		return name, "正常", widget.Good
	case device.StateLow:
		return name, "快用完了", widget.Warn
	case device.StateBusy:
		return name, "正在用", widget.Info
	case device.StateAbsent:
		return name, "没有接上", widget.Bad
	case device.StateFault:
		return name, "有故障", widget.Bad
	case device.StateUnknown:
		return name, "还没检查", widget.Neutral
	}
	return name, string(h.State), widget.Neutral
}

// devicesPage shows every device live.
type devicesPage struct{}

// View implements ui.Page.
func (p *devicesPage) View(c *ui.Ctx) ui.View {
	l := c.Look
	var rows []fyne.CanvasObject
	for _, h := range c.B.Devices() {
		name, state, tone := DeviceWords(h)
		if h.Demo {
			name += "（模拟）"
		}
		detail := h.Name
		if h.Code != "" {
			detail = strings.TrimPrefix(detail+" · 代码 "+h.Code, " · ")
		}
		test := widget.NewButton(l, "test."+string(h.Kind), "自检", widget.Secondary, func() {
			ui.Do(c, "正在自检", func(ctx context.Context) (device.Health, error) { return c.B.SelfTest(ctx, h.Kind), nil }, func(n device.Health) {
				nm, st, _ := DeviceWords(n)
				words := st
				if n.Cause != "" {
					words += "。" + strings.TrimSuffix(n.Cause, "。") + "。" + n.Remedy
				}
				if n.Detail != "" {
					words += "\n" + n.Detail
				}
				c.Tell(nm+"自检", words)
				c.Redraw()
			}, nil)
		})
		words, tag := deviceCard(l, h, name, detail), widget.Tag(l, tone, state)
		var row fyne.CanvasObject = widget.MiddleRow(l.Gap(), widget.Fill(words), tag, test)
		if l.Portrait { // beside the words there is no room
			row = widget.Column(l.MM(2), words, widget.MiddleRow(l.Gap(), tag, widget.Fill(widget.Spring()), test))
		}
		rows = append(rows, widget.CardPad(l, l.MM(4), row))
	}
	return ui.View{ID: "tech-devices", Title: "设备", Back: home2(c), OnDevice: func(device.Health) { c.Redraw() },
		Body: widget.Column(l.Gap(), widget.NewHeading(l, "设备", "插拔后自己会恢复，不用重启。", nil), widget.Fill(widget.NewList(l, "devices", l.MM(3), rows...))),
		Extra: []ui.Action{{Name: "test-page", Label: "打印测试页", Icon: "printer", Do: func() {
			ui.Do(c, "正在打印测试页", func(ctx context.Context) (string, error) {
				pdf, err := c.B.TestPage(ctx)
				if err != nil {
					return "", err
				}
				return ui.PrintPaper(ctx, c, "测试页", pdf)
			}, func(w string) { c.Tell("测试页", w) }, nil)
		}}}}
}

// deviceCard says of a device what is the matter, what to do, and what it did.
func deviceCard(l *theme.Look, h device.Health, name, detail string) fyne.CanvasObject {
	lines := []fyne.CanvasObject{
		widget.Row(l.Gap(), widget.NewText(l, name).Bold().Sized(l.Body()*1.1), widget.Fill(widget.NewText(l, detail).Soft())),
		widget.NewText(l, conditionWords(h)),
	}
	var did []string
	if !h.LastGood.IsZero() {
		did = append(did, "上次成功 "+h.LastGood.In(ui.Beijing).Format("1月2日 15:04"))
	}
	if h.State != device.StateReady && !h.Since.IsZero() {
		did = append(did, "从 "+h.Since.In(ui.Beijing).Format("1月2日 15:04")+" 起")
	}
	if n := wire.CounterWords(h.Counters); n != "" {
		did = append(did, "一共"+n)
	}
	if len(did) > 0 {
		lines = append(lines, widget.NewText(l, strings.Join(did, "。")).Soft())
	}
	return widget.Column(0, lines...)
}

// conditionWords are cause and remedy, each a sentence of its own.
func conditionWords(h device.Health) string {
	var out string
	for _, s := range []string{h.Cause, h.Remedy} {
		if s = strings.TrimSuffix(s, "。"); s != "" {
			out += s + "。"
		}
	}
	if out == "" {
		if h.State == device.StateReady {
			return "一切正常。"
		}
		return "还不知道怎么样，点“自检”看看。"
	}
	return out
}

// facts is a page of labels and values that is fetched once and again on
// demand.
type facts struct {
	id, title, hint string
	loaded          bool
	st              ui.Status
	pairs           func(c *ui.Ctx, s ui.Status) []widget.Pair
	extra           func(c *ui.Ctx, reload func()) []ui.Action
}

func (p *facts) view(c *ui.Ctx) ui.View {
	l := c.Look
	if !p.loaded {
		ui.Do(c, "正在看", func(ctx context.Context) (ui.Status, error) { return c.B.Status(ctx) },
			func(s ui.Status) { p.loaded, p.st = true, s; c.Redraw() }, nil)
	}
	var body fyne.CanvasObject = widget.Middle(widget.NewText(l, "正在看，请稍等").Soft().Centred())
	if p.loaded {
		body = widget.Card(l, widget.NewPairs(l, p.id, p.pairs(c, p.st)))
	}
	reload := func() { p.loaded = false; c.Redraw() }
	v := ui.View{ID: "tech-" + p.id, Title: p.title, Back: home2(c), OnLine: func(sync.LineState) { reload() },
		Body: widget.Column(l.Gap(), widget.NewHeading(l, p.title, p.hint, nil), widget.Fill(body))}
	if p.extra != nil {
		v.Extra = p.extra(c, reload)
	}
	return v
}

type network struct{ f *facts }

// View implements ui.Page.
func (p *network) View(c *ui.Ctx) ui.View {
	if p.f == nil {
		p.f = &facts{id: "network", title: "网络", hint: "断网也能办事，联网后自动上传。", pairs: func(c *ui.Ctx, s ui.Status) []widget.Pair {
			cert := "没有证书"
			if !s.CertUntil.IsZero() {
				cert = "有效到 " + s.CertUntil.In(ui.Beijing).Format("2006年1月2日")
			}
			return []widget.Pair{
				{Label: "线路", Value: s.Line.Text, Bold: true, Warn: warnUnless(s.Line.Kind == sync.LineUp, s.Line.Detail)},
				{Label: "从什么时候", Value: s.Line.Since.In(ui.Beijing).Format("1月2日 15:04:05")},
				{Label: "县里地址", Value: s.Upstream}, {Label: "证书", Value: cert},
				{Label: "和县里差几秒", Value: fmt.Sprintf("%.1f 秒", s.ClockOffset.Seconds())}}
		}, extra: func(c *ui.Ctx, reload func()) []ui.Action {
			return []ui.Action{{Name: "probe", Label: "马上试一次", Icon: "refresh", Do: func() {
				ui.Do(c, "正在试网络", func(ctx context.Context) (sync.LineState, error) { return c.B.Probe(ctx), nil }, func(sync.LineState) { reload() }, nil)
			}}}
		}}
	}
	return p.f.view(c)
}

func warnUnless(ok bool, text string) string {
	if ok {
		return ""
	}
	return text
}

type logPage struct{ f *facts }

// View implements ui.Page.
func (p *logPage) View(c *ui.Ctx) ui.View {
	if p.f == nil {
		p.f = &facts{id: "log", title: "操作日志", hint: "每一步都有记录，改动会被发现。", pairs: func(c *ui.Ctx, s ui.Status) []widget.Pair {
			at := "还没有"
			if !s.Log.CheckpointAt.IsZero() {
				at = s.Log.CheckpointAt.In(ui.Beijing).Format("1月2日 15:04:05")
			}
			return []widget.Pair{
				{Label: "记录数", Value: fmt.Sprint(s.Log.Size), Bold: true},
				{Label: "县里会签到", Value: fmt.Sprintf("第 %d 条", s.Log.Countersigned)},
				{Label: "最近签名", Value: at},
				{Label: "根", Value: fmt.Sprintf("%x", s.Log.Root)}}
		}, extra: func(c *ui.Ctx, reload func()) []ui.Action {
			return []ui.Action{
				{Name: "verify", Label: "核验日志", Icon: "ok", Do: func() {
					ui.Do(c, "正在核验日志", func(ctx context.Context) (ui.LogCheck, error) {
						return c.B.VerifyLog(ctx, func(done, total int64) { c.Progress(fmt.Sprintf("正在核验日志，%d/%d", done, total)) })
					}, func(k ui.LogCheck) {
						title := "日志完整"
						if !k.OK {
							title = "日志有问题"
						}
						c.Tell(title, fmt.Sprintf("%s。用时 %.1f 秒。", k.Words, k.Took.Seconds()))
						reload()
					}, nil)
				}},
				{Name: "export", Label: "导出日志", Icon: "disk", Do: func() {
					ui.Do(c, "正在导出日志", func(ctx context.Context) (string, error) { return c.B.ExportLog(ctx) },
						func(path string) { c.Tell("导出好了", "文件在 "+path) }, nil)
				}}}
		}}
	}
	return p.f.view(c)
}

type vaultPage struct{ f *facts }

// View implements ui.Page.
func (p *vaultPage) View(c *ui.Ctx) ui.View {
	if p.f == nil {
		p.f = &facts{id: "vault", title: "数据", hint: "整个文件加密，拷走也读不出。", pairs: func(c *ui.Ctx, s ui.Status) []widget.Pair {
			out := []widget.Pair{
				{Label: "办件", Value: fmt.Sprintf("%d 件，等待上传 %d 件，要处理 %d 件", s.Vault.Cases, s.Counts.Waiting, s.Counts.Attention), Bold: true},
				{Label: "数据大小", Value: size(s.Vault.Bytes) + "，日志缓冲 " + size(s.Vault.WALBytes)},
				{Label: "剩余空间", Value: size(s.Vault.FreeBytes)},
				{Label: "密钥来源", Value: s.Vault.KeySource}, {Label: "保护程度", Value: s.Vault.KeyWords},
				{Label: "位置", Value: s.Vault.Path}}
			for _, w := range s.Vault.KeyWarnings {
				out = append(out, widget.Pair{Label: "密钥提醒", Value: w})
			}
			for _, i := range s.Incidents {
				out = append(out, widget.Pair{Label: "异常", Value: i, Warn: "请报告县里"})
			}
			return out
		}}
	}
	return p.f.view(c)
}

type version struct{ f *facts }

// View implements ui.Page.
func (p *version) View(c *ui.Ctx) ui.View {
	if p.f == nil {
		p.f = &facts{id: "version", title: "版本", hint: "", pairs: func(c *ui.Ctx, s ui.Status) []widget.Pair {
			return []widget.Pair{
				{Label: "程序", Value: s.Program + " " + s.Version, Bold: true}, {Label: "事项目录", Value: s.Catalogue},
				{Label: "终端", Value: s.Identity.ID}, {Label: "序列号", Value: c.B.Point().Serial},
				{Label: "区划代码", Value: s.Identity.Region}, {Label: "启动时间", Value: s.StartedAt.In(ui.Beijing).Format("2006年1月2日 15:04:05")}}
		}}
	}
	return p.f.view(c)
}

func size(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%d KB", n>>10)
}

// queue is the clerk's queue for the technician, without the resend button:
// whether a case goes again is the clerk's to say.
type queue struct {
	loaded bool
	rows   []fyne.CanvasObject
	at     time.Time
}

// View implements ui.Page.
func (p *queue) View(c *ui.Ctx) ui.View {
	l := c.Look
	type got struct {
		rows []fyne.CanvasObject
		hint string
	}
	if !p.loaded {
		ui.Do(c, "正在看", func(ctx context.Context) (func() got, error) {
			items, n, err := c.B.Queue(ctx)
			return func() got {
				return got{desk.QueueRows(c, items, nil), fmt.Sprintf("共 %d，完成 %d，等待 %d，要处理 %d", n.Total, n.Done, n.Waiting, n.Attention)}
			}, err
		}, func(f func() got) {
			g := f()
			p.loaded, p.rows, p.at = true, g.rows, c.B.Now()
			c.Redraw()
		}, nil)
	}
	var body fyne.CanvasObject = widget.Middle(widget.NewText(l, "正在看，请稍等").Soft().Centred())
	if p.loaded {
		body = widget.StateCard(l, widget.State{Tone: widget.Good, Title: "都上传了", Text: "没有等待上传的办件。"})
	}
	if len(p.rows) > 0 {
		body = widget.NewList(l, "queue", l.MM(3), p.rows...)
	}
	return ui.View{ID: "tech-queue", Title: "上传队列", Back: home2(c),
		Body:  widget.Column(l.Gap(), widget.NewHeading(l, "上传队列", "看不到填的内容。要不要重新上传，由帮办员定。", nil), widget.Fill(body)),
		Extra: []ui.Action{{Name: "reload", Label: "刷新", Icon: "refresh", Do: func() { p.loaded = false; c.Redraw() }}}}
}
