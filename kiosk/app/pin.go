package app

import (
	"context"
	"fmt"
	"strings"

	"cunban/device"
	"cunban/device/vendor"
)

// pinPad is the PIN pad that works now, nil for none.
func (a *App) pinPad() device.PINPad {
	for _, v := range a.vendors {
		if v.Can(vendor.CanPIN) {
			return v
		}
	}
	return nil
}

// ChangePIN implements ui.Backend.
func (a *App) ChangePIN(ctx context.Context, progress func(string)) error {
	release := a.sess.Hold()
	defer release()
	pad := a.pinPad()
	if pad == nil {
		return plain("VD-20", "密码键盘没有接好，密码没有改", "请按“呼叫帮办”，或拿卡去发卡银行改", device.ErrAbsent)
	}
	err := pad.ChangePIN(ctx, func(step device.PINStep, typed int) { progress(pinWords(step, typed)) })
	if err == nil || ctx.Err() != nil {
		return err
	}
	code, cause, remedy := vendor.Explain(err)
	return plain(code, strings.TrimSuffix(cause, "。"), strings.TrimSuffix(remedy, "。"), err)
}

// pinWords say what the pad waits for.
func pinWords(step device.PINStep, typed int) string {
	ask := ""
	switch step {
	case device.PINOld:
		ask = "请在密码键盘上输原密码"
	case device.PINNew:
		ask = "请输新密码"
	case device.PINAgain:
		ask = "请再输一遍新密码"
	}
	return fmt.Sprintf("%s，已输 %d 位", ask, typed)
}
