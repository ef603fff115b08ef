package camera

import (
	"context"
	"errors"
	"fmt"

	"cunban/device"
)

// condition puts an error into words: state, short code, cause and remedy.
func condition(err error) device.Health {
	h := device.Health{Detail: fmt.Sprint(err)}
	set := func(s device.State, code, cause, remedy string) device.Health {
		h.State, h.Code, h.Cause, h.Remedy = s, code, cause, remedy
		return h
	}
	switch {
	case err == nil:
		return device.Health{State: device.StateReady}
	case errors.Is(err, device.ErrAbsent):
		return set(device.StateAbsent, "DC-01", "没有找到高拍仪。", "看看高拍仪的线有没有插好。材料可以以后补交。")
	case errors.Is(err, device.ErrBusy):
		return set(device.StateBusy, "DC-02", "高拍仪正被别的程序占用。", "关掉别的程序，再拍一次。")
	case errors.Is(err, ErrDenied):
		return set(device.StateFault, "DC-03", "这台终端没有使用高拍仪的权限。", "请技术员把运行账户加入 video 组。")
	case errors.Is(err, ErrFormat):
		return set(device.StateFault, "DC-04", "高拍仪的画面格式认不出来。", "请技术员换一台支持 MJPEG 或 YUYV 的高拍仪。材料可以以后补交。")
	case errors.Is(err, device.ErrNoFrame), errors.Is(err, context.DeadlineExceeded):
		return set(device.StateFault, "DC-05", "高拍仪没有画面。", "拔下高拍仪的线，等十秒再插上。")
	case errors.Is(err, ErrPicture):
		return set(device.StateFault, "DC-06", "高拍仪传来的画面不完整。", "插紧高拍仪的线，再拍一次。前面拍好的页都在。")
	}
	return set(device.StateFault, "DC-07", "拍照中断了，可能是线松了。", "插好高拍仪的线，再拍一次。前面拍好的页都在。")
}

// Explain gives the short code and the plain words for an error of Capture or
// Preview: what happened and what to do.
func Explain(err error) (code, cause, remedy string) {
	h := condition(err)
	return h.Code, h.Cause, h.Remedy
}
