package pcsc

import (
	"fmt"
	"strings"
	"time"

	"cunban/device"
)

// ISO/IEC 7816-3: the first byte of an answer to reset.
const (
	tsDirect  = 0x3B
	tsInverse = 0x3F
)

// flagInUse means that some program has the card open.
const flagInUse = 0x0100

// publish works out from the view what the device is and what is in front of
// it, and tells. It returns how long the monitor may wait. s.mu is held.
func (s *Slot) publish() time.Duration {
	v := &s.view
	if s.down != nil {
		s.hub.SetHealth(*s.down)
		s.hub.SetCard(device.CardEvent{State: device.CardNoReader, Seq: v.seq})
		return waitSlice
	}
	st := s.choose()
	if st == nil {
		v.chosen, v.key, s.held = "", "", false
		s.hub.SetHealth(noReader())
		s.hub.SetCard(device.CardEvent{State: device.CardNoReader, Seq: v.seq})
		return waitSlice
	}
	v.chosen = st.name
	ev := device.CardEvent{Reader: st.name, State: device.CardNone}
	if st.current&flagPresent == 0 {
		v.key, v.since, s.held = "", time.Time{}, false
		ev.Seq = v.seq
		s.hub.SetHealth(ready(st.name))
		s.hub.SetCard(ev)
		return waitSlice
	}
	// The upper 16 bits count cards coming and going: a card that was swapped
	// between two looks is another insertion though it was present in both.
	if key := fmt.Sprintf("%s#%d", st.name, st.current>>16); key != v.key {
		v.key = key
		v.seq++
		v.since, s.held, s.refused = time.Time{}, false, nil
	}
	ev.Seq = v.seq
	ev.ATR = append([]byte(nil), st.atr...)

	wait := waitSlice
	others := s.held
	if others {
		wait = heldAfter // to see it let go
	}
	if st.current&flagExclusive == 0 || s.ours {
		v.since = time.Time{}
	} else {
		// Our own connection may have ended a moment ago: what stays exclusive
		// is somebody else's.
		now := s.opts.Now()
		if v.since.IsZero() {
			v.since = now
		}
		if age := now.Sub(v.since); age >= heldAfter {
			others = true
		} else {
			wait = heldAfter - age
		}
	}
	switch {
	case others && !s.ours:
		ev.State = device.CardHeld
		if s.hub.Health().Code != CodeHeld {
			s.hub.SetHealth(held(st.name, s.holders()))
		}
	case st.current&flagMute != 0 || !answers(st.atr):
		ev.State = device.CardUnresponsive
		s.hub.SetHealth(ready(st.name))
	default:
		s.held = false
		ev.State = device.CardInserted
		if s.refused != nil {
			s.hub.SetHealth(denied(ruleCard, s.refused))
		} else {
			s.hub.SetHealth(ready(st.name))
		}
	}
	s.hub.SetCard(ev)
	return wait
}

// answers reports whether an ATR is one at all.
func answers(atr []byte) bool {
	return len(atr) >= 2 && (atr[0] == tsDirect || atr[0] == tsInverse)
}

// choose picks the reader: the one chosen before while its card is in, else one
// with a card, else the one before, else the first. Names that do not match the
// option do not count.
func (s *Slot) choose() *readerState {
	var first, same, present *readerState
	for i := range s.view.readers {
		st := &s.view.readers[i]
		if !strings.Contains(st.name, s.opts.Reader) || st.current&(flagUnknown|flagUnavailable) != 0 {
			continue
		}
		if first == nil {
			first = st
		}
		if present == nil && st.current&flagPresent != 0 {
			present = st
		}
		if st.name == s.view.chosen {
			same = st
		}
	}
	switch {
	case same != nil && same.current&flagPresent != 0:
		return same
	case present != nil:
		return present
	case same != nil:
		return same
	}
	return first
}
