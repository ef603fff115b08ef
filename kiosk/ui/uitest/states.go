package uitest

import (
	"time"

	"cunban/device"
	"cunban/kiosk/ui"
)

// DeviceStates are the conditions a terminal's devices get into, in the words
// of their drivers: what the technician's page and the pages that need the
// device are drawn with.
func DeviceStates() []device.Health {
	at := time.Date(2026, 11, 23, 9, 12, 0, 0, ui.Beijing)
	good := at.Add(-26 * time.Hour)
	h := func(k device.Kind, name string, s device.State, code, cause, remedy string, n map[string]int64) device.Health {
		return device.Health{Kind: k, Name: name, State: s, Code: code, Cause: cause, Remedy: remedy, Since: at, LastGood: good, Counters: n}
	}
	const callTechnician = "请告诉工作人员；办件不受影响，回执可以以后补打。"
	read := map[string]int64{"reads": 1204, "unread": 31, "torn": 6}
	shot := map[string]int64{"pages": 618, "failures": 4, "gone": 2}
	fed := map[string]int64{"pages": 2310, "failures": 12, "jams": 7}
	printed := map[string]int64{"jobs_done": 845, "jobs_failed": 3, "jobs_unknown": 1, "jams": 5, "paper_out": 11}
	return []device.Health{
		h(device.KindCardReader, "ACS ACR39U", device.StateReady, "", "", "", read),
		h(device.KindCardReader, "", device.StateAbsent, "PC-01", "读卡服务没有运行。", "稍等片刻会自动恢复；一直不好请联系维护人员重启读卡服务（pcscd）。", read),
		h(device.KindCardReader, "", device.StateAbsent, "PC-02", "没有找到读卡器。", "请检查读卡器的连接线，拔下来再插上；还不行请联系维护人员。", read),
		h(device.KindCardReader, "ACS ACR39U", device.StateBusy, "PC-03", "读卡器正被另一个程序占用，查不出是哪一个。", "请稍等；一直这样请关闭那个程序或重启终端。", read),
		h(device.KindCardReader, "ACS ACR39U", device.StateFault, "PC-05", "读卡器出错了。", "请把读卡器拔下来再插上；还不行请联系维护人员。", read),
		h(device.KindIDReader, "/dev/ttyUSB0", device.StateReady, "", "", "", read),
		h(device.KindIDReader, "/dev/ttyUSB0", device.StateAbsent, "ID-01", "没有找到身份证阅读器。", "请检查阅读器的连接线，拔下来再插上。", read),
		h(device.KindIDReader, "/dev/ttyUSB0", device.StateFault, "ID-04", "身份证阅读器的安全模块出错了。", "请联系维护人员，可能要更换阅读器。", read),
		h(device.KindScanner, "Canon DR-C225", device.StateReady, "", "", "", fed),
		h(device.KindScanner, "Canon DR-C225", device.StateLow, "SC-05", "扫描仪里没有纸。", "把要扫的纸放好，再点一次。", fed),
		h(device.KindScanner, "Canon DR-C225", device.StateBusy, "SC-03", "扫描仪正忙。", "等一会儿再试。", fed),
		h(device.KindScanner, "", device.StateAbsent, "SC-02", "没有找到扫描仪。", "看看扫描仪的电源和数据线。材料可以以后补交。", fed),
		h(device.KindScanner, "Canon DR-C225", device.StateFault, "SC-04", "扫描仪卡纸了。", "打开盖子，轻轻把纸抽出来，再放一次。", fed),
		h(device.KindScanner, "Canon DR-C225", device.StateFault, "SC-06", "扫描仪的盖子没有盖好。", "盖好盖子，再点一次。", fed),
		h(device.KindDocCamera, "HD Camera (/dev/video0)", device.StateReady, "", "", "", shot),
		h(device.KindDocCamera, "", device.StateAbsent, "DC-01", "没有找到高拍仪。", "看看高拍仪的线有没有插好。材料可以以后补交。", shot),
		h(device.KindDocCamera, "HD Camera (/dev/video0)", device.StateBusy, "DC-02", "高拍仪正被别的程序占用。", "关掉别的程序，再拍一次。", shot),
		h(device.KindDocCamera, "HD Camera (/dev/video0)", device.StateFault, "DC-05", "高拍仪没有画面。", "拔下高拍仪的线，等十秒再插上。", shot),
		h(device.KindPagePrinter, "HP LaserJet", device.StateReady, "", "", "", printed),
		h(device.KindPagePrinter, "HP LaserJet", device.StateLow, "PR-20", "打印机的纸快用完了。", "请添一些 A4 纸。", printed),
		h(device.KindPagePrinter, "HP LaserJet", device.StateBusy, "PR-00", "打印机正在打印。", "稍等一会儿。", printed),
		h(device.KindPagePrinter, "HP LaserJet", device.StateFault, "PR-02", "打印机没有纸了。", "请在纸盒里放好 A4 纸，放好后会接着打。", printed),
		h(device.KindPagePrinter, "HP LaserJet", device.StateFault, "PR-03", "打印机卡纸了。", "打开盖子，顺着出纸方向轻轻把纸抽出来，再盖好。", printed),
		h(device.KindPagePrinter, "HP LaserJet", device.StateFault, "PR-05", "打印机没有墨粉了。", "请换墨粉盒。"+callTechnician, printed),
		h(device.KindPagePrinter, "HP LaserJet", device.StateAbsent, "PR-08", "打印机没有连上。", "看看打印机的电源和数据线。", printed),
		h(device.KindReceiptPrint, "XP-80", device.StateReady, "", "", "", printed),
		h(device.KindReceiptPrint, "XP-80", device.StateLow, "RP-08", "小票纸快用完了。", "请准备一卷 80 毫米的小票纸。", printed),
		h(device.KindReceiptPrint, "XP-80", device.StateFault, "RP-02", "小票打印机没有纸了。", "请换一卷 80 毫米的小票纸，盖好盖子。", printed),
		h(device.KindReceiptPrint, "XP-80", device.StateFault, "RP-03", "小票打印机的盖子开着。", "请盖好小票打印机的盖子。", printed),
		h(device.KindReceiptPrint, "XP-80", device.StateFault, "RP-04", "小票打印机的切刀卡住了。", "关掉小票打印机，取出碎纸，再打开。还不行，请技术员来看看。", printed),
		h(device.KindReceiptPrint, "", device.StateAbsent, "RP-01", "没有连上小票打印机。", "看看小票打印机的电源和数据线。回执可以以后补打。", printed),
	}
}
