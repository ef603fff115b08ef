package print

import (
	"slices"
	"strings"

	"cunban/device"
)

// words is what a printer's condition means to the person in front of it.
type words struct {
	state  device.State
	code   string
	cause  string
	remedy string
	err    error // sentinel for a job that cannot be printed because of it
	weight int   // which of several conditions is said first
}

const callTechnician = "请告诉工作人员；办件不受影响，回执可以以后补打。"

// conditions maps printer-state-reasons (RFC 8011 §5.4.12, PWG 5100.9, CUPS) to
// words. Keywords are without their -error, -warning and -report ending.
var conditions = map[string]words{
	"media-empty":                          {device.StateFault, "PR-02", "打印机没有纸了。", "请在纸盒里放好 A4 纸，放好后会接着打。", device.ErrOutOfPaper, 95},
	"media-needed":                         {device.StateFault, "PR-02", "打印机在等放纸。", "请在纸盒里放好 A4 纸，放好后会接着打。", device.ErrOutOfPaper, 94},
	"input-tray-missing":                   {device.StateFault, "PR-02", "打印机的纸盒没有装好。", "请把纸盒推到底。", device.ErrOutOfPaper, 93},
	"media-jam":                            {device.StateFault, "PR-03", "打印机卡纸了。", "打开盖子，顺着出纸方向轻轻把纸抽出来，再盖好。", device.ErrJam, 100},
	"cover-open":                           {device.StateFault, "PR-04", "打印机的盖子开着。", "请盖好打印机的盖子。", device.ErrCoverOpen, 99},
	"door-open":                            {device.StateFault, "PR-04", "打印机的门开着。", "请关好打印机的门。", device.ErrCoverOpen, 98},
	"interlock-open":                       {device.StateFault, "PR-04", "打印机没有盖好。", "请盖好打印机的盖子。", device.ErrCoverOpen, 97},
	"toner-empty":                          {device.StateFault, "PR-05", "打印机没有墨粉了。", "请换墨粉盒。" + callTechnician, nil, 90},
	"marker-supply-empty":                  {device.StateFault, "PR-05", "打印机没有墨了。", "请换墨盒或墨粉盒。" + callTechnician, nil, 90},
	"developer-empty":                      {device.StateFault, "PR-05", "打印机的显影剂用完了。", callTechnician, nil, 89},
	"marker-waste-full":                    {device.StateFault, "PR-06", "打印机的废粉盒满了。", "请换废粉盒。" + callTechnician, nil, 88},
	"output-area-full":                     {device.StateFault, "PR-07", "打印机出纸口的纸满了。", "请把打好的纸拿走。", nil, 87},
	"output-tray-missing":                  {device.StateFault, "PR-07", "打印机的出纸盘没有装好。", "请装好出纸盘。", nil, 86},
	"offline":                              {device.StateAbsent, "PR-08", "打印机没有连上。", "看看打印机的电源和数据线。", device.ErrOffline, 85},
	"shutdown":                             {device.StateAbsent, "PR-08", "打印机关着。", "请打开打印机的电源。", device.ErrOffline, 84},
	"timed-out":                            {device.StateAbsent, "PR-08", "打印机没有回答。", "看看打印机的电源和数据线。", device.ErrOffline, 83},
	"paused":                               {device.StateFault, "PR-09", "打印机被暂停了。", "请按打印机上的“继续”，或请技术员恢复。", device.ErrOffline, 80},
	"moving-to-paused":                     {device.StateFault, "PR-09", "打印机正在暂停。", "请按打印机上的“继续”，或请技术员恢复。", device.ErrOffline, 79},
	"deactivated":                          {device.StateFault, "PR-09", "打印机被停用了。", "请技术员恢复。", device.ErrOffline, 78},
	"hold-new-jobs":                        {device.StateFault, "PR-09", "打印机暂不接新任务。", "请技术员恢复。", device.ErrOffline, 77},
	"fuser-over-temp":                      {device.StateFault, "PR-10", "打印机太热了。", "等十分钟再打。", nil, 76},
	"fuser-under-temp":                     {device.StateBusy, "PR-10", "打印机正在预热。", "稍等一会儿。", nil, 30},
	"opc-life-over":                        {device.StateFault, "PR-11", "打印机的感光鼓到寿命了。", callTechnician, nil, 75},
	"spool-area-full":                      {device.StateFault, "PR-12", "打印任务太多，存满了。", callTechnician, nil, 74},
	"cups-missing-filter":                  {device.StateFault, "PR-13", "打印机的驱动没有装好。", "请技术员检查打印设置。", nil, 73},
	"cups-insecure-filter":                 {device.StateFault, "PR-13", "打印机的驱动不能用。", "请技术员检查打印设置。", nil, 73},
	"stopped-partly":                       {device.StateLow, "PR-14", "打印机有一部分停了。", callTechnician, nil, 40},
	"media-low":                            {device.StateLow, "PR-20", "打印机的纸快用完了。", "请添一些 A4 纸。", nil, 25},
	"toner-low":                            {device.StateLow, "PR-21", "打印机的墨粉快用完了。", "请准备新的墨粉盒。", nil, 24},
	"marker-supply-low":                    {device.StateLow, "PR-21", "打印机的墨快用完了。", "请准备新的墨盒。", nil, 24},
	"developer-low":                        {device.StateLow, "PR-21", "打印机的显影剂快用完了。", "请告诉工作人员。", nil, 23},
	"marker-waste-almost-full":             {device.StateLow, "PR-22", "打印机的废粉盒快满了。", "请准备新的废粉盒。", nil, 22},
	"output-area-almost-full":              {device.StateLow, "PR-23", "打印机出纸口的纸快满了。", "请把打好的纸拿走。", nil, 21},
	"opc-near-eol":                         {device.StateLow, "PR-24", "打印机的感光鼓快到寿命了。", "请告诉工作人员。", nil, 20},
	"connecting-to-device":                 {device.StateBusy, "PR-15", "正在连接打印机。", "稍等一会儿；一直这样，请看看电源和数据线。", nil, 50},
	"stopping":                             {device.StateBusy, "PR-15", "打印机正在停下来。", "稍等一会儿。", nil, 31},
	"input-cannot-feed-size-selected":      {device.StateFault, "PR-02", "打印机的纸盒里放的不是要用的纸。", "请在纸盒里放好 A4 纸。", device.ErrOutOfPaper, 92},
	"input-manual-input-request":           {device.StateFault, "PR-02", "打印机在等人手放纸。", "请在手动进纸口放好 A4 纸。", device.ErrOutOfPaper, 91},
	"marker-adjusting-print-quality":       {device.StateBusy, "PR-15", "打印机正在调整打印质量。", "稍等一会儿。", nil, 32},
	"media-drying":                         {device.StateBusy, "PR-15", "打印机在等墨干。", "稍等一会儿。", nil, 32},
	"interpreter-complex-page-encountered": {device.StateLow, "PR-26", "这一页对打印机太复杂了。", "打不出来的话，请告诉工作人员。", nil, 28},
	"input-media-color-change":             {},
	"input-media-form-parts-change":        {},
	"input-media-size-change":              {},
	"input-media-type-change":              {},
	"input-media-weight-change":            {},
	"configuration-change":                 {},
	"alert-removal-of-binary-change-entry": {},
	"unknown":                              {},
	"none":                                 {},
	"other":                                {},
	"identify-printer-requested":           {},
	"cups-waiting-for-job-completed":       {},
}

// severities are the endings that RFC 8011 allows on a reason.
var severities = []string{"-error", "-warning", "-report"}

// splitReason takes the severity off a reason.
func splitReason(r string) (keyword, severity string) {
	for _, s := range severities {
		if k, ok := strings.CutSuffix(r, s); ok {
			return k, s[1:]
		}
	}
	return r, ""
}

// heaviest finds the condition that has to be said first. A reason that is not
// known counts only when the printer calls it an error. ok is false when there
// is nothing to say.
//
// stops says that the condition keeps sheets from coming out, though the
// printer may only warn of it: with a job under way it has to be said.
func heaviest(reasons []string) (w words, stops, ok bool) {
	for _, r := range reasons {
		k, severity := splitReason(r)
		c, known := wordsOf(k)
		if !known && severity == "error" {
			c = words{device.StateFault, "PR-19", "打印机报告出了问题。", callTechnician, nil, 60}
		}
		stop := c.state == device.StateFault || c.state == device.StateAbsent
		// A printer that only warns of something that would be an error still
		// prints: paper is out in one of two trays.
		if severity == "warning" || severity == "report" {
			if c.state == device.StateFault {
				c.state, c.err = device.StateLow, nil
			}
			c.weight -= 60
		}
		if c.state != "" && (!ok || c.weight > w.weight) {
			w, stops, ok = c, stop, true
		}
	}
	return w, stops, ok
}

// Reasons lists the known keywords, for tests and the manual.
func Reasons() []string {
	var list []string
	for k := range conditions {
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}
