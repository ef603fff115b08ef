package print

import (
	"strings"

	"cunban/device"
)

// Most keywords that are registered with IANA for printer-state-reasons name a
// part of the printer and what is the matter with it (PWG 5100.9, the Printer
// MIB's alerts of RFC 3805): stapler-jam, input-pick-roller-life-over. Their words
// are put together from the two tables below.

// parts names the parts as people call them. Longer keywords win.
var parts = map[string]string{
	"bander": "捆扎器", "binder": "胶装器", "die-cutter": "模切刀", "folder": "折纸器", "imprinter": "盖印器", "inserter": "插页器",
	"make-envelope": "信封机", "perforater": "打齿孔器", "puncher": "打孔器", "separation-cutter": "分切刀", "sheet-rotator": "转纸器",
	"slitter": "分条刀", "stacker": "堆纸器", "stapler": "订书器", "stitcher": "骑马订书器", "trimmer": "裁边刀", "wrapper": "包装器",
	"subunit": "配件", "camera": "摄像头", "chamber": "机箱", "cleaner": "清洁器", "extruder": "喷头", "fan": "风扇", "fax-modem": "传真模块",
	"input-media-tray": "进纸盒", "input-pick-roller": "搓纸轮", "input-tray-elevation": "纸盒升降", "input-tray-position": "纸盒位置",
	"interpreter-cartridge": "字库卡", "interpreter-memory": "内存", "interpreter-resource": "字库", "lamp": "灯", "laser": "激光头",
	"marker-cleaner": "清洁器", "marker-developer": "显影剂", "marker-fuser": "定影器", "marker-ink": "墨水", "marker-opc": "感光鼓",
	"marker-print-ribbon": "色带", "marker-supply": "墨盒", "marker-toner-cartridge": "墨粉盒", "marker-toner": "墨粉",
	"marker-waste": "废粉盒", "marker-waste-ink-receptacle": "废墨盒", "marker-waste-toner-receptacle": "废粉盒", "material": "材料",
	"media-path": "走纸通道", "media-path-input": "进纸口", "media-path-media-tray": "出纸盘", "media-path-output": "出纸口",
	"media-path-pick-roller": "搓纸轮", "motor": "马达", "output-mailbox-select": "出纸格", "output-media-tray": "出纸盘", "platform": "平台",
	"scan-media-path": "扫描走纸通道", "scan-media-path-input": "扫描进纸口", "scan-media-path-output": "扫描出纸口",
	"scan-media-path-pick-roller": "扫描搓纸轮", "scan-media-path-tray": "扫描纸盘", "scanner-light": "扫描灯", "scanner-sensor": "扫描头",
	"interlock": "保护开关", "power": "电源", "printer": "机器", "configuration": "设置",
}

// aspect is what can be the matter with a part. cause goes on after 打印机的 and
// the part's name.
type aspect struct {
	state  device.State // "" = nothing has to be said
	cause  string
	remedy string
	err    error
	weight int
}

// Remedies that several aspects share.
const (
	switchOff = "关掉打印机，等十秒再打开。" + callTechnician
	soon      = "请告诉工作人员，先备好新的。"
)

// aspects are by the end of the keyword. Longer ends win.
var aspects = map[string]aspect{
	"jam":                          {device.StateFault, "卡住了。", "打开盖子，顺着出纸方向轻轻把纸抽出来，再盖好。", device.ErrJam, 72},
	"feed-error":                   {device.StateFault, "没有走好纸。", "把纸取出来理整齐，重新放好。", device.ErrJam, 71},
	"cover-open":                   {device.StateFault, "盖子开着。", "请盖好打印机的盖子。", device.ErrCoverOpen, 72},
	"interlock-open":               {device.StateFault, "没有盖好。", "请盖好打印机的盖子。", device.ErrCoverOpen, 72},
	"opened":                       {device.StateFault, "打开了。", "请关好它。", device.ErrCoverOpen, 71},
	"missing":                      {device.StateFault, "没有装好。", "请装好它。" + callTechnician, nil, 70},
	"removed":                      {device.StateLow, "取下来了。", callTechnician, nil, 26},
	"empty":                        {device.StateFault, "用完了。", "请换新的。" + callTechnician, nil, 70},
	"full":                         {device.StateFault, "满了。", "请清空它。" + callTechnician, nil, 70},
	"at-limit":                     {device.StateFault, "到极限了。", callTechnician, nil, 69},
	"life-over":                    {device.StateFault, "到寿命了。", callTechnician, nil, 69},
	"at-eol":                       {device.StateFault, "到寿命了。", callTechnician, nil, 69},
	"failure":                      {device.StateFault, "坏了。", switchOff, nil, 68},
	"motor-failure":                {device.StateFault, "马达坏了。", switchOff, nil, 68},
	"thermistor-failure":           {device.StateFault, "温度传感器坏了。", switchOff, nil, 68},
	"timing-failure":               {device.StateFault, "配合不上。", switchOff, nil, 68},
	"timing-Failure":               {device.StateFault, "配合不上。", switchOff, nil, 68}, // as it is registered
	"recoverable-failure":          {device.StateFault, "出了问题。", switchOff, nil, 67},
	"unrecoverable-failure":        {device.StateFault, "坏了。", callTechnician, nil, 68},
	"unrecoverable-storage":        {device.StateFault, "存储坏了。", callTechnician, nil, 68},
	"unrecoverable-storage-error":  {device.StateFault, "存储坏了。", callTechnician, nil, 68},
	"recoverable-storage":          {device.StateFault, "存储出了问题。", switchOff, nil, 67},
	"memory-exhausted":             {device.StateFault, "内存不够了。", switchOff, nil, 67},
	"offline":                      {device.StateFault, "没有连上。", switchOff, nil, 67},
	"turned-off":                   {device.StateFault, "关着。", "请打开它。", nil, 66},
	"over-temperature":             {device.StateFault, "太热了。", "等十分钟再打。", nil, 66},
	"temperature-high":             {device.StateFault, "太热了。", "等十分钟再打。", nil, 66},
	"request":                      {device.StateFault, "在等放纸。", "请放好 A4 纸，放好后会接着打。", device.ErrOutOfPaper, 72},
	"needed":                       {device.StateFault, "要添了。", "请添上它。" + callTechnician, nil, 70},
	"unavailable":                  {device.StateFault, "不能用。", callTechnician, nil, 66},
	"under-temperature":            {device.StateBusy, "还不够热。", "稍等一会儿。", nil, 29},
	"temperature-low":              {device.StateBusy, "还不够热。", "稍等一会儿。", nil, 29},
	"warming-up":                   {device.StateBusy, "正在预热。", "稍等一会儿。", nil, 29},
	"heating":                      {device.StateBusy, "正在预热。", "稍等一会儿。", nil, 29},
	"cooling":                      {device.StateBusy, "正在降温。", "稍等一会儿。", nil, 29},
	"cooling-down":                 {device.StateBusy, "正在降温。", "稍等一会儿。", nil, 29},
	"almost-empty":                 {device.StateLow, "快用完了。", soon, nil, 19},
	"low":                          {device.StateLow, "快用完了。", soon, nil, 19},
	"almost-full":                  {device.StateLow, "快满了。", "请清空它。", nil, 19},
	"near-limit":                   {device.StateLow, "快到极限了。", soon, nil, 18},
	"life-almost-over":             {device.StateLow, "快到寿命了。", soon, nil, 18},
	"life-warn":                    {device.StateLow, "快到寿命了。", soon, nil, 18},
	"near-eol":                     {device.StateLow, "快到寿命了。", soon, nil, 18},
	"decrease":                     {device.StateLow, "变少了。", callTechnician, nil, 17},
	"deleted":                      {device.StateLow, "取下来了。", callTechnician, nil, 17},
	"down":                         {device.StateAbsent, "正在关掉。", "请打开打印机的电源。", device.ErrOffline, 82},
	"manual-reset":                 {device.StateBusy, "正在重新启动。", "稍等一会儿。", nil, 31},
	"nms-reset":                    {device.StateBusy, "正在重新启动。", "稍等一会儿。", nil, 31},
	"cannot-duplex-media-selected": {device.StateLow, "不能双面打这种纸。", "请在纸盒里放好 A4 纸。", nil, 27},
	"added":                        {}, "resource-added": {}, "resource-removed": {}, "closed": {}, "cover-closed": {}, "interlock-closed": {},
	"configuration-change": {}, "power-saver": {}, "turned-on": {}, "increase": {}, "up": {}, "ready-to-print": {}, "change": {},
}

// ofPart finds the words for a keyword that is a part and an aspect.
func ofPart(keyword string) (w words, known bool) {
	for i := len(keyword) - 1; i > 0; i-- {
		if keyword[i] != '-' {
			continue
		}
		part, ok := parts[keyword[:i]]
		a, is := aspects[keyword[i+1:]]
		if !ok || !is {
			continue
		}
		if a.state == "" {
			return words{}, true
		}
		return words{a.state, "PR-25", "打印机的" + part + a.cause, a.remedy, a.err, a.weight}, true
	}
	return words{}, false
}

// wordsOf finds the words for a keyword without its severity.
func wordsOf(keyword string) (w words, known bool) {
	if w, known = conditions[keyword]; known {
		return w, true
	}
	return ofPart(strings.TrimSpace(keyword))
}
