package vendor

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"cunban/device"
)

// wltSize is the length of the photo on an ID card, in bytes.
const wltSize = 1024

type lights struct {
	On []device.Lamp `json:"on"`
}

func lampArgs(on []device.Lamp) lights {
	return lights{On: append([]device.Lamp{}, on...)} // [], never null
}

// SetLights implements device.Lights.
func (d *Driver) SetLights(ctx context.Context, on []device.Lamp) error {
	d.mu.Lock()
	d.lamps, d.lit = slices.Clone(on), true
	d.mu.Unlock()
	_, err := d.ask(ctx, CanLights, lampArgs(on), lightLimit, nil)
	return err
}

// ChangePIN implements device.PINPad. progress is called from the driver's
// goroutine and must not block.
func (d *Driver) ChangePIN(ctx context.Context, progress func(step device.PINStep, typed int)) error {
	steps := map[string]device.PINStep{"pin.old": device.PINOld, "pin.new": device.PINNew, "pin.again": device.PINAgain}
	_, err := d.ask(ctx, CanPIN, nil, pinLimit, func(m Message) {
		if s, ok := steps[m.Event]; ok && progress != nil {
			progress(s, m.Typed)
		}
	})
	return err
}

// DecodeWLT makes a picture (BMP, JPEG or PNG) of the photo of an ID card, which
// is 1024 bytes. The caller wipes it.
func (d *Driver) DecodeWLT(ctx context.Context, wlt []byte) (Secret, error) {
	if len(wlt) != wltSize {
		return Secret{}, fmt.Errorf("vendor %s: %s: %d bytes are no photo", d.o.Name, CanWLT, len(wlt))
	}
	args := struct {
		WLT string `json:"wlt"`
	}{base64.StdEncoding.EncodeToString(wlt)}
	return d.secret(ctx, CanWLT, args, decodeLimit, "image")
}

// CaptureFinger takes a fingerprint and returns its template in the maker's
// form. The caller wipes it.
func (d *Driver) CaptureFinger(ctx context.Context) (Secret, error) {
	return d.secret(ctx, CanFinger, nil, captureLimit, "template")
}

// CaptureFace takes a picture (BMP, JPEG or PNG) of the face before the camera. The caller
// wipes it.
func (d *Driver) CaptureFace(ctx context.Context) (Secret, error) {
	return d.secret(ctx, CanFace, nil, captureLimit, "image")
}

// secret asks for personal data that comes in one field of the result.
func (d *Driver) secret(ctx context.Context, do string, args any, limit time.Duration, field string) (Secret, error) {
	raw, err := d.ask(ctx, do, args, limit, nil)
	if err != nil {
		return Secret{}, err
	}
	defer clear(raw)
	var all map[string]json.RawMessage
	var s Secret
	if json.Unmarshal(raw, &all) != nil || s.UnmarshalJSON(all[field]) != nil || len(s.b) == 0 {
		return Secret{}, fmt.Errorf("vendor %s: %s: %w: result without %s", d.o.Name, do, ErrProtocol, field)
	}
	for _, v := range all {
		clear(v)
	}
	return s, nil
}
