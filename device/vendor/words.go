package vendor

import (
	"errors"

	"cunban/device"
)

// cause is what a key of a driver means to people.
type cause struct{ text, remedy string }

// causes are the keys that a driver may give for its state.
var causes = map[string]cause{
	"unplugged":  {"设备没有接上。", "replug"},
	"power":      {"设备没有通电。", "power_cycle"},
	"permission": {"驱动没有使用设备的权限。", "call_technician"},
	"license":    {"设备的授权不对或到期了。", "call_vendor"},
	"held":       {"设备正被别的程序占用。", "call_technician"},
	"dirty":      {"设备的镜头或窗口脏了。", "clean"},
	"damaged":    {"设备坏了。", "call_vendor"},
	"starting":   {"设备正在启动。", "wait"},
	"other":      {"设备有故障。", "replug"},
}

// remedies are the keys for what to do.
var remedies = map[string]string{
	"replug":          "请把设备的线拔下再插上。还不行，就联系村里的技术员。",
	"power_cycle":     "请关掉设备的电源，等十秒再打开。",
	"clean":           "请用软布擦干净设备的镜头或窗口。",
	"wait":            "请等一会儿，不用做什么。",
	"call_technician": "请联系村里的技术员。",
	"call_vendor":     "请技术员联系设备厂家。",
}

// ofDriver is the health that a driver tells of its device.
func ofDriver(m Message) device.Health {
	h := device.Health{State: m.State, Detail: m.Code}
	if m.State.Usable() && m.Cause == "" {
		return h
	}
	key := m.Cause
	if key == "" {
		key = map[device.State]string{device.StateAbsent: "unplugged", device.StateBusy: "starting"}[m.State]
	}
	c, ok := causes[key]
	if !ok {
		c = causes["other"]
	}
	switch m.State {
	case device.StateReady:
		return h // a cause beside ready is of no use to anybody
	case device.StateLow:
		h.Code = "VD-10"
	case device.StateBusy:
		h.Code = "VD-11"
	case device.StateAbsent:
		h.Code = "VD-12"
	case device.StateFault, device.StateUnknown:
		h.Code = "VD-13"
	}
	remedy := m.Remedy
	if remedy == "" {
		remedy = c.remedy
	}
	h.Cause, h.Remedy = c.text, remedies[remedy]
	return h
}

// failures gives the ways in which a driver fails their words.
var failures = []struct {
	err                 error
	code, cause, remedy string
}{
	{ErrStart, "VD-01", "设备的驱动程序启动不了。", "请技术员检查配置 devices.vendor 里的程序：在不在，能不能运行。"},
	{ErrVersion, "VD-06", "设备的驱动程序和终端对不上。", "请技术员装和终端配套的驱动程序。"},
	{ErrFlood, "VD-05", "设备的驱动程序乱发数据，已经关掉，会自动重开。", "请等一分钟。总是这样，就请技术员联系设备厂家。"},
	{ErrProtocol, "VD-04", "设备的驱动程序发来的内容不对，已经关掉，会自动重开。", "请等一分钟。总是这样，就请技术员联系设备厂家。"},
	{ErrHung, "VD-03", "设备的驱动程序没有回应，已经关掉，会自动重开。", "请等一分钟。还不行，就把设备的线拔下再插上。"},
	{ErrExited, "VD-02", "设备的驱动程序停了，会自动重开。", "请等一分钟。总是这样，就请技术员联系设备厂家。"},
}

// ofFailure is the health of a device whose driver failed.
func ofFailure(err error, stderr string) device.Health {
	h := device.Health{State: device.StateFault, Code: "VD-02", Detail: err.Error()}
	if stderr != "" {
		h.Detail += "; stderr: " + stderr
	}
	for _, f := range failures {
		if errors.Is(err, f.err) {
			h.Code, h.Cause, h.Remedy = f.code, f.cause, f.remedy
			return h
		}
	}
	last := failures[len(failures)-1]
	h.Code, h.Cause, h.Remedy = last.code, last.cause, last.remedy
	return h
}

// Explain gives an error of an operation its code and words.
func Explain(err error) (code, cause, remedy string) {
	for _, e := range []struct {
		err                 error
		code, cause, remedy string
	}{
		{device.ErrWrongPIN, "VD-21", "原密码不对，密码没有改。", "请想一想再试。连错六次卡会锁。"},
		{device.ErrPINLocked, "VD-22", "卡的密码锁住了，改不了。", "请带身份证到发卡银行或县社保大厅重置。"},
		{device.ErrPINMismatch, "VD-23", "两次输的新密码不一样，密码没有改。", "请重新输一遍。"},
		{device.ErrNotFinished, "VD-24", "没有输完，密码没有改。", "要改就再来一次。"},
		{device.ErrNoCard, "VD-25", "密码键盘里没有卡。", "请把社保卡插好，再来一次。"},
		{device.ErrCardTorn, "VD-26", "卡被拿走了，不知道改成了没有。", "请插回卡，用新密码试一次；不行就用原密码。"},
		{device.ErrBusy, "VD-27", "设备正在用。", "请等一会儿再试。"},
		{ErrUnsupported, "VD-28", "这台设备不会做这件事。", "请联系村里的技术员。"},
	} {
		if errors.Is(err, e.err) {
			return e.code, e.cause, e.remedy
		}
	}
	h := ofFailure(err, "")
	return h.Code, h.Cause, h.Remedy
}
