// Package social puts a contact card reader (device.CardSlot) and the card
// application (device/sscard) together into the port device.CardReader. It
// exists because drivers do not know each other: this is the one place above
// them that knows both.
//
// It guarantees: the card is closed whatever happens, an operation never waits
// for a card, and what was read belongs to the card that is in — if another one
// was put in meanwhile the read fails with device.ErrCardTorn.
package social

import (
	"context"
	"errors"
	"fmt"

	"cunban/device"
	"cunban/device/sscard"
)

// Reader reads social-security cards in a slot. Safe for concurrent use: a read
// while another runs fails with device.ErrBusy.
type Reader struct {
	device.CardSlot
	app *sscard.Reader
}

var _ device.CardReader = (*Reader)(nil)

// New makes a card reader of a slot, which is then run through it.
func New(slot device.CardSlot) *Reader {
	return &Reader{CardSlot: slot, app: sscard.New()}
}

// ReadCard reads the card that is in now; see device.CardReader for its errors
// and device.ErrDamagedCard.
func (r *Reader) ReadCard(ctx context.Context) (card device.SocialSecurityCard, err error) {
	before := r.CardState()
	t, err := r.Connect(ctx)
	if err != nil {
		return card, fmt.Errorf("read social-security card: %w", err)
	}
	defer func() {
		// What the card said is said: a close that fails changes nothing.
		_ = t.Close()
	}()
	card, err = r.app.Read(ctx, t)
	if err != nil {
		return device.SocialSecurityCard{}, fmt.Errorf("read social-security card: %w", err)
	}
	if after := r.CardState(); after.Seq != before.Seq {
		return device.SocialSecurityCard{}, fmt.Errorf("read social-security card: another card came: %w", device.ErrCardTorn)
	}
	return card, nil
}

// Words says in plain Chinese what became of a read and what to do next, for
// the screen and the voice. It knows every error of ReadCard.
func Words(err error) (cause, remedy string) {
	switch {
	case err == nil:
		return "", ""
	case errors.Is(err, device.ErrNoReader), errors.Is(err, device.ErrAbsent):
		return "读卡器没有准备好。", "请稍等，或者请工作人员帮忙。"
	case errors.Is(err, device.ErrNoCard):
		return "没有看到卡。", "请把社保卡插到底。"
	case errors.Is(err, device.ErrCardTorn):
		return "卡拔得太早了。", "请重新插卡，等屏幕上出现名字再拔。"
	case errors.Is(err, device.ErrBlankCard):
		return "此卡尚未制卡完成。", "请带身份证到发卡的地方问一问。"
	case errors.Is(err, device.ErrForeignCard):
		return "这不是社保卡。", "请换成社保卡，或者用身份证。"
	case errors.Is(err, device.ErrUnresponsive):
		return "读不到卡上的芯片。", "请看看卡是不是插反了，擦一擦芯片再插。"
	case errors.Is(err, device.ErrHeld), errors.Is(err, device.ErrBusy):
		return "读卡器正忙。", "请稍等一会儿再试。"
	case errors.Is(err, device.ErrDamagedCard):
		return "卡里的内容读不全。", "请用身份证办理，或者请工作人员帮忙。"
	}
	return "没有读成。", "请把卡拔出来再插一次。"
}
