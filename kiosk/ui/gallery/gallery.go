// Package gallery builds a page of every kind from the widgets, with made-up
// content. It exists so that people can look at all of them in both sizes,
// both orientations and every palette before a page is called done; its test
// writes the pictures into the folder named by CUNBAN_PICTURES.
package gallery

import (
	"fmt"
	"image"
	"image/color"
	"time"

	"fyne.io/fyne/v2"

	"cunban/kiosk/ui/input"
	"cunban/kiosk/ui/theme"
	"cunban/kiosk/ui/widget"
)

// Sheet is one page of the gallery.
type Sheet struct {
	Name string
	// Make builds the page; after, if not nil, is called when it has its size
	// (to draw a signature, type a word).
	Make func(look *theme.Look, p Parts) (page fyne.CanvasObject, after func())
}

// Parts are the engines, nil where they are not installed.
type Parts struct {
	Candidates input.Candidates
	Recogniser input.Recogniser
}

func nothing() {}

func top(look *theme.Look, step, steps int) *widget.TopBar {
	return widget.NewTopBar(look, widget.TopOptions{
		Title: "养老保险参保登记", Step: step, Steps: steps, Person: "张*  1408**********0024",
		Line: "已联网", LineTone: widget.Good, Clock: "9:41", OnHelp: nothing,
	})
}

func homeTop(look *theme.Look, line string, tone widget.Tone) *widget.TopBar {
	return widget.NewTopBar(look, widget.TopOptions{
		Title: "芮城县就业社保服务", Place: "古魏镇 东关社区", Date: "11月23日 星期一 · 农历十月十五", Clock: "9:41",
		Line: line, LineTone: tone, OnHelp: nothing,
	})
}

func foot(look *theme.Look, next string, right ...fyne.CanvasObject) fyne.CanvasObject {
	o := widget.FooterOptions{Back: nothing, Home: nothing, Right: right}
	if next != "" {
		o.Next = widget.NextButton(look, next, nothing)
	}
	return widget.Footer(look, o)
}

// ask is a page with a heading over its content.
func ask(look *theme.Look, title, hint string, content fyne.CanvasObject) fyne.CanvasObject {
	gap := look.Gap()
	if look.Dense() {
		hint, gap = "", look.MM(3)
	}
	return widget.Column(gap, widget.NewHeading(look, title, hint, nothing), widget.Fill(content))
}

// Sheets are all pages.
func Sheets() []Sheet {
	return []Sheet{
		{"home", home}, {"form", levels}, {"choice-long", longChoices}, {"multi", multi}, {"tiles", services},
		{"scan", scan}, {"pinyin", pinyinPage}, {"hand", handPage}, {"marks", marksPage}, {"number", numberPage},
		{"date-year", dateYear}, {"date-day", dateDay}, {"pin", pinPage}, {"review", review}, {"sign", sign},
		{"done", done}, {"idle", idle}, {"state", state}, {"timeline", timeline}, {"busy", busy}, {"buttons", buttons},
		{"icons", icons},
	}
}

func home(look *theme.Look, _ Parts) (fyne.CanvasObject, func()) {
	art := look.MM(100)
	if look.Portrait {
		art = look.MM(72)
	}
	hero := widget.Hero(look, widget.Middle(widget.Wide(look, widget.Column(look.MM(5),
		widget.Middle(widget.Drawing(look, "insert-card", art)),
		widget.NewText(look, "请插入社保卡\n或放上身份证").Bold().Sized(look.Title()*1.1).Centred(),
		widget.NewText(look, "没带卡、看不清、不会用？\n请按右上角“呼叫帮办”").Soft().Centred(),
	))))
	tile := func(name, icon, title, sub string) fyne.CanvasObject {
		return widget.NewTile(look, name, widget.TileOptions{Icon: icon, Title: title, Sub: sub}, nothing)
	}
	wide := func(name, icon, title string) fyne.CanvasObject {
		return widget.NewTile(look, name, widget.TileOptions{Icon: icon, Title: title, Mark: true, Wide: true}, nothing)
	}
	tiles := widget.Column(look.Gap(),
		widget.Fill(widget.Even(2, look.Gap(),
			tile("job", "job", "我要找工作", "求职登记、看岗位、失业登记\n等 15 项"),
			tile("learn", "learn", "我要学技术", "培训报名、查证书、领补贴\n等 4 项"),
			tile("insurance", "insurance", "我要办社保", "参保登记、资格认证、查缴费\n等 18 项"),
			tile("card", "card", "我要用社保卡", "查状态、启用、挂失、改密码\n等 3 项"),
		)),
		widget.Fixed(0, look.Target()*1.5, widget.Even(2, look.Gap(),
			wide("progress", "progress", "查办理进度"), wide("guide", "guide", "办事指南与公示"))))
	var body fyne.CanvasObject
	if look.Portrait {
		body = widget.Column(look.Gap(), widget.Fixed(0, look.H*0.34, hero), widget.Fill(tiles))
	} else {
		body = widget.Split(look, 0.62, hero, tiles)
	}
	foot := widget.Footer(look, widget.FooterOptions{
		Left: []fyne.CanvasObject{
			widget.NewButton(look, "zoom", "大字", widget.Secondary, nothing).WithIcon("zoom"),
			widget.NewButton(look, "mute", "声音 开", widget.Secondary, nothing).WithIcon("sound"),
			widget.NewButton(look, "contrast", "高对比", widget.Secondary, nothing).WithIcon("contrast"),
		},
		Notice: "城乡居民养老保险 2027 年度缴费 12 月 1 日开始，咨询 12333",
	})
	return widget.Page(look, homeTop(look, "已联网", widget.Good), nil, body, foot), nil
}

func levels(look *theme.Look, _ Parts) (fyne.CanvasObject, func()) {
	var o []widget.Option
	for _, l := range [][2]string{{"200", "35"}, {"300", "40"}, {"500", "60"}, {"700", "80"}, {"1000", "100"}, {"1500", "140"}, {"2000", "180"}, {"3000", "220"}, {"4000", "260"}, {"5000", "300"}} {
		o = append(o, widget.Option{Code: l[0], Label: l[0] + " 元", Note: "政府补 " + l[1] + " 元"})
	}
	g := widget.NewChoiceGrid(look, "choice", o, false, []string{"500"}, nil)
	return widget.Page(look, top(look, 4, 8), nil, ask(look, "您每年交哪一档？", "交得多，补得多，老了领得多。以后每年可以改。", g), foot(look, "下一步")), nil
}

func longChoices(look *theme.Look, _ Parts) (fyne.CanvasObject, func()) {
	names := []string{"汉族", "蒙古族", "回族", "藏族", "维吾尔族", "苗族", "彝族", "壮族", "布依族", "朝鲜族", "满族", "侗族", "瑶族", "白族", "土家族", "哈尼族", "哈萨克族", "傣族", "黎族", "傈僳族", "佤族", "畲族", "高山族", "拉祜族", "水族", "东乡族", "纳西族", "景颇族"}
	var o []widget.Option
	for _, n := range names {
		o = append(o, widget.Option{Code: n, Label: n})
	}
	g := widget.NewChoiceGrid(look, "choice", o, false, []string{"汉族"}, nil)
	return widget.Page(look, top(look, 2, 8), nil, ask(look, "您是哪个民族？", "", g), foot(look, "下一步")), nil
}

func multi(look *theme.Look, _ Parts) (fyne.CanvasObject, func()) {
	o := []widget.Option{
		{Code: "1", Label: "低保对象", Note: "民政部门认定"}, {Code: "2", Label: "特困人员"}, {Code: "3", Label: "返贫致贫人口", Note: "乡村振兴部门认定"},
		{Code: "4", Label: "重度残疾人", Note: "持有一级、二级残疾人证"}, {Code: "5", Label: "计划生育特殊家庭成员", Off: "要先由卫健部门登记"}, {Code: "0", Label: "都不是"},
	}
	g := widget.NewChoiceGrid(look, "choice", o, true, []string{"1", "4"}, nil)
	banner := widget.NewBanner(look, widget.Warn, "现在没有网络。可以照常填写，先存在本机，有网后自动送到县里。", nil)
	return widget.Page(look, top(look, 3, 8), nil, widget.Column(look.Gap(), banner, widget.Fill(ask(look, "您家有下面这些情况吗？", "可以选几个。选错了再点一下就取消。", g))), foot(look, "下一步")), nil
}

func services(look *theme.Look, _ Parts) (fyne.CanvasObject, func()) {
	g := widget.NewGrid(look, "service")
	var cells []fyne.CanvasObject
	for i, t := range [][2]string{
		{"城乡居民养老保险参保登记", "本人办，当场受理"}, {"城乡居民养老保险缴费查询", "当场看"}, {"养老待遇资格认证", "一年一次"},
		{"城乡居民养老保险待遇申领", "满 60 岁"}, {"养老保险关系转移", "3 个工作日"}, {"个人权益记录单打印", "当场打印"},
		{"丧葬补助金申领", "家属办"}, {"缴费档次变更", "当场受理"},
	} {
		off := ""
		if i == 4 {
			off = "没有网络时不能办"
		}
		cells = append(cells, widget.NewTile(look, "service."+t[0], widget.TileOptions{Icon: "insurance", Title: t[0], Sub: t[1], Small: true, Off: off}, nothing))
	}
	g.SetCells(cells)
	return widget.Page(look, homeTop(look, "断网", widget.Bad), widget.Ribbon(look, widget.Warn, "演示模式：数据都是假的，办的事不算数"), ask(look, "您要办哪件事？", "用得多的排在前面。", g), foot(look, "")), nil
}

func scan(look *theme.Look, _ Parts) (fyne.CanvasObject, func()) {
	p := widget.NewPicture(look, "正在打开摄像头……")
	img := image.NewRGBA(image.Rect(0, 0, 1200, 760))
	for y := range 760 {
		for x := range 1200 {
			c := color.RGBA{R: 0x2A, G: 0x31, B: 0x3A, A: 0xff}
			if x > 240 && x < 960 && y > 80 && y < 690 {
				c = color.RGBA{R: 0xF7, G: 0xF4, B: 0xEC, A: 0xff}
				if x > 310 && x < 860 && y > 170 && y%52 < 14 {
					c = color.RGBA{R: 0x9A, G: 0xA3, B: 0xAE, A: 0xff}
				}
			}
			img.SetRGBA(x, y, c)
		}
	}
	p.SetImage(img)
	p.SetFrame(&[4]fyne.Position{{X: 0.2, Y: 0.105}, {X: 0.8, Y: 0.105}, {X: 0.8, Y: 0.908}, {X: 0.2, Y: 0.908}})
	side := widget.Column(look.Gap(),
		widget.NewText(look, "拍户口簿本人页").Bold().Sized(look.Head()*1.1),
		widget.NewText(look, "把户口簿翻开、放平，四个角都放进框里。").Soft(),
		widget.NewBanner(look, widget.Good, "四角清楚，可以拍了", nil),
		widget.Spring(),
		widget.NewButton(look, "shoot", "拍照", widget.Primary, nothing).WithIcon("camera").Big(),
		widget.Even(2, look.Gap(), widget.NewButton(look, "later", "以后补交", widget.Plain, nothing), widget.NewButton(look, "staff", "请帮办拍", widget.Plain, nothing)))
	next := widget.NextButton(look, "下一步", nothing)
	next.Disable("还没有拍")
	f := widget.Footer(look, widget.FooterOptions{Back: nothing, Home: nothing, Next: next})
	return widget.Page(look, top(look, 5, 8), nil, widget.Split(look, 0.34, p, side), f), nil
}

func textPage(look *theme.Look, p Parts, mode input.Mode, after func(*input.TextPad, fyne.CanvasObject)) (fyne.CanvasObject, func()) {
	pad := input.NewTextPad(look, input.TextOptions{
		Value: "芮城县古魏镇东关社区 3 号", Hint: "请输入", Start: mode, Candidates: p.Candidates, Recogniser: p.Recogniser,
	})
	page := widget.Page(look, top(look, 3, 8), nil, ask(look, "现在住哪里？", "", pad), foot(look, "下一步"))
	return page, func() { after(pad, page) }
}

func pinyinPage(look *theme.Look, p Parts) (fyne.CanvasObject, func()) {
	return textPage(look, p, input.Pinyin, func(_ *input.TextPad, page fyne.CanvasObject) {
		for _, k := range "lou" {
			widget.Tap(page, "key."+string(k))
		}
	})
}

func marksPage(look *theme.Look, p Parts) (fyne.CanvasObject, func()) {
	return textPage(look, p, input.Marks, func(*input.TextPad, fyne.CanvasObject) {})
}

func handPage(look *theme.Look, p Parts) (fyne.CanvasObject, func()) {
	return textPage(look, p, input.Hand, func(pad *input.TextPad, _ fyne.CanvasObject) {
		// 大: a line across, a falling stroke to the left, one to the right.
		s := pad.InkSize()
		at := func(x, y float32) image.Point { return image.Pt(int(x*s.Width), int(y*s.Height)) }
		pad.Draw([]image.Point{at(0.25, 0.38), at(0.4, 0.375), at(0.75, 0.36)})
		pad.Draw([]image.Point{at(0.5, 0.15), at(0.495, 0.35), at(0.46, 0.55), at(0.38, 0.7), at(0.25, 0.85)})
		pad.Draw([]image.Point{at(0.51, 0.4), at(0.57, 0.58), at(0.66, 0.73), at(0.78, 0.85)})
	})
}

func numberPage(look *theme.Look, _ Parts) (fyne.CanvasObject, func()) {
	pad := input.NewNumberPad(look, input.NumberOptions{Value: "1380013", Max: 11, Groups: input.MobileGroups})
	return widget.Page(look, top(look, 3, 8), nil, ask(look, "您的手机号是多少？", "没有手机可以填家里人的，也可以不填。", pad),
		foot(look, "下一步", widget.NewButton(look, "skip", "没有手机", widget.Plain, nothing))), nil
}

func dateYear(look *theme.Look, _ Parts) (fyne.CanvasObject, func()) {
	pad := input.NewDatePad(look, input.DateOptions{Now: time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC), Min: time.Date(1930, 1, 1, 0, 0, 0, 0, time.UTC)})
	page := widget.Page(look, top(look, 3, 8), nil, ask(look, "哪天开始务农的？", "记不清日子，选大概的也行。", pad), foot(look, "下一步"))
	return page, func() { widget.Tap(page, "decade.1970") }
}

func dateDay(look *theme.Look, _ Parts) (fyne.CanvasObject, func()) {
	pad := input.NewDatePad(look, input.DateOptions{Value: "1976-03-12", Now: time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)})
	return widget.Page(look, top(look, 3, 8), nil, ask(look, "哪天开始务农的？", "", pad), foot(look, "下一步")), nil
}

func pinPage(look *theme.Look, _ Parts) (fyne.CanvasObject, func()) {
	pad := input.NewPINPad(look, 6, func([]byte) {})
	page := widget.Page(look, homeTop(look, "网络慢", widget.Warn), nil, ask(look, "帮办员登录", "工号 1002，请输入六位口令。", pad), foot(look, ""))
	return page, func() { widget.Tap(page, "key.1"); widget.Tap(page, "key.2"); widget.Tap(page, "key.3") }
}

func review(look *theme.Look, _ Parts) (fyne.CanvasObject, func()) {
	list := widget.NewReview(look, "review", []widget.Pair{
		{Label: "姓名", Value: "张*", Tag: "来自社保卡"}, {Label: "身份证号", Value: "1408**********0024", Tag: "来自社保卡"},
		{Label: "手机号", Value: "138 0013 8000", Edit: nothing}, {Label: "现在住哪里", Value: "芮城县古魏镇东关社区 3 号楼 2 单元 401 室，从南门进去左手第二栋", Edit: nothing},
		{Label: "每年交哪一档", Value: "500 元（政府补 60 元）", Edit: nothing, Bold: true}, {Label: "户口簿本人页", Value: "还没有拍", Warn: "要在 5 个工作日内补交", Edit: nothing},
		{Label: "特殊情况", Value: "低保对象、重度残疾人", Edit: nothing}, {Label: "缴费方式", Value: "社保卡银行账户代扣", Edit: nothing},
	})
	return widget.Page(look, top(look, 6, 8), nil, ask(look, "请核对一遍", "有错点“修改”。都对了点“没有错”。", list), foot(look, "没有错，下一步")), nil
}

func sign(look *theme.Look, _ Parts) (fyne.CanvasObject, func()) {
	s := widget.NewSignature(look, "请用手指在这里写您的名字", nil)
	page := widget.Page(look, top(look, 7, 8), nil, ask(look, "请签上您的名字", "签名表示：上面填的都是真的，同意提交。", s), foot(look, "签好了，提交"))
	return page, func() {
		z := s.Sheet().Size()
		at := func(x, y float32) image.Point { return image.Pt(int(x*z.Width), int(y*z.Height)) }
		s.Draw([]image.Point{at(0.3, 0.3), at(0.34, 0.31), at(0.38, 0.29), at(0.37, 0.4), at(0.32, 0.44), at(0.31, 0.5), at(0.38, 0.52), at(0.37, 0.68), at(0.33, 0.66)})
		s.Draw([]image.Point{at(0.44, 0.28), at(0.43, 0.5), at(0.45, 0.68), at(0.5, 0.62)})
		s.Draw([]image.Point{at(0.4, 0.48), at(0.5, 0.46), at(0.55, 0.45)})
	}
}

func done(look *theme.Look, _ Parts) (fyne.CanvasObject, func()) {
	gap, seal, code := look.MM(6), look.MM(30), look.MM(72)
	if look.Size == theme.Large {
		gap, seal, code = look.MM(3), look.MM(24), look.MM(56)
	}
	left := widget.CardPad(look, look.MM(7), widget.Column(gap,
		widget.MiddleRow(look.MM(8), widget.Seal(look, widget.Good, seal), widget.Fill(widget.NewText(look, "县里已受理").Bold().Sized(look.Huge()))),
		widget.PairColumn(look, "done", []widget.Pair{
			{Label: "受理编号", Value: "140830-20261123-000417", Bold: true}, {Label: "办理事项", Value: "城乡居民养老保险参保登记"},
			{Label: "答复期限", Value: "3 个工作日内，11月26日（星期四）前"}, {Label: "首问责任人", Value: "东关社区服务点"}, {Label: "咨询电话", Value: "12333"},
		}), widget.Spring(),
		widget.NewBanner(look, widget.Good, "结果出来后，插卡点“查办理进度”就能看到。", nil)))
	qr, err := widget.QR(look, "https://example.invalid/v/140830-20261123-000417?h=3f2a", code)
	if err != nil {
		panic(err)
	}
	right := widget.Card(look, widget.Column(look.MM(5), widget.Middle(qr),
		widget.NewText(look, "回执二维码\n可验证本次办理已记入操作日志").Soft().Centred(),
		widget.NewButton(look, "print", "打印回执", widget.Secondary, nothing).WithIcon("printer")))
	return widget.Page(look, top(look, 8, 8), nil, widget.Split(look, 0.32, left, right),
		foot(look, "办完了，取卡", widget.NewButton(look, "more", "再办一件", widget.Secondary, nothing))), nil
}

func idle(look *theme.Look, _ Parts) (fyne.CanvasObject, func()) {
	r := widget.NewRing(look, 30)
	r.Set(21)
	body := widget.Hero(look, widget.Middle(widget.Wide(look, widget.Column(look.MM(8),
		widget.NewText(look, "您还在吗？").Bold().Sized(look.Huge()*1.1).Centred(),
		widget.NewText(look, "为了保护您的信息，30 秒后回到首页").Sized(look.Head()).Soft().Centred(),
		widget.Middle(r),
		widget.Middle(widget.NewButton(look, "stay", "我还在，继续", widget.Primary, nothing).Big().Sized(look.Title()).Wide(look.MM(150))),
	))))
	return widget.Page(look, homeTop(look, "已联网", widget.Good), nil, body, nil), nil
}

func state(look *theme.Look, _ Parts) (fyne.CanvasObject, func()) {
	return widget.Page(look, homeTop(look, "断网", widget.Bad), nil, widget.StateCard(look, widget.State{
		Tone: widget.Warn, Drawing: "card-wrong-way", Title: "卡插反了", Text: "请把卡拔出来，换一头再插。",
		Todo:    []string{"金色芯片朝上、朝里", "慢慢插到底，听到“滴”一声"},
		Buttons: []fyne.CanvasObject{widget.NewButton(look, "type", "我没带卡", widget.Secondary, nothing), widget.NewButton(look, "help2", "请帮办来", widget.Primary, nothing)},
	}), foot(look, "")), nil
}

func timeline(look *theme.Look, _ Parts) (fyne.CanvasObject, func()) {
	l := widget.NewTimeline(look, "way", []widget.Moment{
		{Title: "您提交了", Time: "11月23日 9:41", Text: "存在本机，编号 RC-0012-000031", State: widget.Past},
		{Title: "县里已受理", Time: "11月23日 9:42", Text: "受理编号 140830-20261123-000417", State: widget.Past},
		{Title: "县里正在审核", Time: "11月26日前", Text: "还有 2 个工作日", State: widget.Present},
		{Title: "办好", State: widget.Future},
	})
	return widget.Page(look, homeTop(look, "已联网", widget.Good), nil, ask(look, "养老保险参保登记", "办到哪一步了", widget.Card(look, l)),
		foot(look, "", widget.NewButton(look, "withdraw", "撤回", widget.Danger, nothing))), nil
}

func busy(look *theme.Look, _ Parts) (fyne.CanvasObject, func()) {
	p := widget.NewProgress(look, "正在把材料送到县里，第 2 页，共 3 页……")
	p.Set("正在把材料送到县里，第 2 页，共 3 页……", 0.45)
	q := widget.NewProgress(look, "正在读卡，请不要拔……")
	body := widget.Hero(look, widget.Middle(widget.Wide(look, widget.Column(look.MM(14),
		widget.Middle(widget.Drawing(look, "card-reading", look.MM(80))),
		widget.Middle(widget.Fixed(min(look.MM(220), look.W*0.8), 0, p)), widget.Middle(widget.Fixed(min(look.MM(220), look.W*0.8), 0, q))))))
	return widget.Page(look, homeTop(look, "已联网", widget.Good), nil, body, foot(look, "")), nil
}

func buttons(look *theme.Look, _ Parts) (fyne.CanvasObject, func()) {
	b := func(label string, k widget.Kind) *widget.Button {
		return widget.NewButton(look, fmt.Sprintf("b.%s.%d", label, k), label, k, nothing)
	}
	off := widget.NewButton(look, "off", "下一步", widget.Primary, nothing)
	off.Disable("还有一项没填")
	body := widget.Column(look.Gap(),
		widget.Row(look.Gap(), b("下一步", widget.Primary).AfterIcon("next"), b("打印回执", widget.Secondary).WithIcon("printer"), b("返回", widget.Plain).WithIcon("back")),
		widget.Row(look.Gap(), b("撤回", widget.Danger).WithIcon("trash"), b("更多", widget.Quiet), off),
		widget.NewBanner(look, widget.Info, "今天办了 12 件，都已送到县里。", nil),
		widget.NewBanner(look, widget.Warn, "打印机没有纸了，回执可以以后打。", b("呼叫帮办", widget.Secondary)),
		widget.NewBanner(look, widget.Bad, "卡拔得太早，请再插一次。", nil),
		widget.Row(look.Gap(), widget.Badge(look, 1), widget.Badge(look, 12), widget.Tag(look, widget.Good, "已受理"), widget.Tag(look, widget.Warn, "待补正"), widget.Tag(look, widget.Bad, "已超期"), widget.Tag(look, widget.Info, "来自社保卡")),
		widget.Row(look.Gap(), widget.Seal(look, widget.Good, look.MM(20)), widget.Seal(look, widget.Info, look.MM(20)), widget.Seal(look, widget.Warn, look.MM(20)), widget.Seal(look, widget.Bad, look.MM(20))),
	)
	return widget.Page(look, top(look, 1, 12), nil, body, foot(look, "下一步")), nil
}

func icons(look *theme.Look, _ Parts) (fyne.CanvasObject, func()) {
	var small, large []fyne.CanvasObject
	for _, n := range theme.IconNames() {
		small = append(small, widget.Column(0, widget.Middle(widget.Icon(look, n, look.C().Link, look.MM(15))), widget.NewText(look, n).Sized(look.MM(4)).Centred()))
	}
	for _, n := range theme.DrawingNames() {
		large = append(large, widget.Column(0, widget.Middle(widget.Drawing(look, n, look.MM(46))), widget.NewText(look, n).Sized(look.MM(4)).Centred()))
	}
	columns := 16
	if look.Portrait {
		columns = 9
	}
	return widget.Page(look, nil, nil, widget.Column(look.Gap(), widget.Even(columns, 4, small...), widget.Even(columns*3/8, 4, large...)), nil), nil
}
