package sdt

import (
	"errors"
	"fmt"

	"cunban/device"
)

// Codes of the ID reader's health.
const (
	CodeAbsent = "ID-01" // no line
	CodeSilent = "ID-02" // line there, no answer
	CodeHeld   = "ID-03" // another program has the line
	CodeModule = "ID-04" // security module refuses or is broken
	CodeLine   = "ID-05" // line cannot be opened (rights, settings)
)

// health says what a failure means for the technician and the villager.
func health(err error, old device.Health) device.Health {
	h := device.Health{State: device.StateFault, Demo: old.Demo, Detail: fmt.Sprint(err)}
	var se *StatusError
	switch {
	case errors.Is(err, device.ErrHeld):
		h.State, h.Code = device.StateBusy, CodeHeld
		h.Cause, h.Remedy = "身份证阅读器正被另一个程序占用。", "请关闭那个程序或重启终端。"
	case errors.Is(err, device.ErrAbsent), errors.Is(err, device.ErrNoReader), errors.Is(err, errLine):
		h.State, h.Code = device.StateAbsent, CodeAbsent
		h.Cause, h.Remedy = "没有找到身份证阅读器。", "请检查阅读器的连接线，拔下来再插上。"
	case errors.Is(err, errSilent):
		h.Code = CodeSilent
		h.Cause, h.Remedy = "身份证阅读器没有应答。", "请把阅读器拔下来再插上；还不行请联系维护人员。"
	case errors.As(err, &se):
		h.Code = CodeModule
		h.Cause, h.Remedy = "身份证阅读器的安全模块出错了。", "请联系维护人员，可能要更换阅读器。"
	default:
		h.Code = CodeLine
		h.Cause, h.Remedy = "身份证阅读器的串口打不开。", "请联系维护人员检查串口的设置和权限。"
	}
	return h
}

// Words says in plain Chinese what became of a read and what to do next, for
// the screen and the voice. It knows every error of ReadID.
func Words(err error) (cause, remedy string) {
	switch {
	case err == nil:
		return "", ""
	case errors.Is(err, device.ErrNoReader), errors.Is(err, device.ErrAbsent):
		return "身份证阅读器没有准备好。", "请稍等，或者请工作人员帮忙。"
	case errors.Is(err, device.ErrNoCard):
		return "没有看到身份证。", "请把身份证平放在阅读区。"
	case errors.Is(err, device.ErrMustLift):
		return "身份证已经读过了。", "请把身份证拿起来，再放一次。"
	case errors.Is(err, device.ErrCardTorn):
		return "身份证拿得太早了。", "请把身份证拿起来，再平放一次，等屏幕上出现名字。"
	case errors.Is(err, device.ErrForeignCard):
		return "这张卡不能这样读。", "请换成身份证，或者请工作人员帮忙。"
	case errors.Is(err, device.ErrDamagedCard):
		return "身份证里的内容读不全。", "请工作人员帮忙。"
	case errors.Is(err, device.ErrUnresponsive):
		return "没有读到身份证。", "请把身份证拿起来，再平放一次；还不行请工作人员帮忙。"
	}
	return "没有读成。", "请把身份证拿起来，再平放一次。"
}
