package app

import (
	"context"
	"errors"
	"sync"
	"time"

	"cunban/device"
	"cunban/kiosk/oplog"
	"cunban/kiosk/resident"
	"cunban/kiosk/session"
	"cunban/kiosk/ui"
)

// readLimit is how long one card may take to read.
const readLimit = 12 * time.Second

// cardDesk turns what happens at the readers into claims. It reads a card as
// soon as it comes, so that a person sees her name without pressing anything,
// and drops a result whose card is gone.
type cardDesk struct {
	social device.CardReader // nil when there is none configured
	id     device.IDReader
	now    func() time.Time
	// told is called with every change, from one goroutine at a time.
	told func(ui.CardView)
	sess *session.Manager
	note func(e oplog.Event, o oplog.Outcome, dev string, fields map[string]string)
	// counted hears whether a read went well; nil where nobody counts.
	counted func(k device.Kind, ok bool)

	mu     sync.Mutex
	view   ui.CardView
	holder resident.IDNumber // whose session it is
	seq    uint64
	cancel context.CancelFunc
	ctx    context.Context // nil before and after run
	wg     sync.WaitGroup

	tell sync.Mutex // keeps told in order
}

// run follows the readers until ctx ends and every read has ended.
func (d *cardDesk) run(ctx context.Context) {
	d.mu.Lock()
	d.ctx = ctx
	d.mu.Unlock()
	d.readers() // what is shown before the first event
	var offs []func()
	if d.social != nil {
		offs = append(offs, d.social.Subscribe(func(e device.Event) {
			if e.Card != nil {
				d.socialEvent(*e.Card)
			} else if e.Health != nil {
				d.readers()
			}
		}))
	}
	if d.id != nil {
		offs = append(offs, d.id.Subscribe(func(e device.Event) {
			if e.Card != nil {
				d.idEvent(*e.Card)
			} else if e.Health != nil {
				d.readers()
			}
		}))
	}
	<-ctx.Done()
	for _, off := range offs {
		off()
	}
	d.mu.Lock()
	d.ctx = nil // whoever began a read before this was counted; nobody begins one now
	d.mu.Unlock()
	d.wg.Wait()
}

// current is what is in front of the readers now.
func (d *cardDesk) current() ui.CardView {
	d.mu.Lock()
	defer d.mu.Unlock()
	v := d.view
	if v.Phase == "" { // before run
		v.Phase = ui.CardNoReader
	}
	return v
}

// set publishes a view that f makes of the present one.
func (d *cardDesk) set(f func(v *ui.CardView)) {
	d.tell.Lock()
	defer d.tell.Unlock()
	d.mu.Lock()
	before := d.view
	f(&d.view)
	d.view.SocialReader, d.view.IDReader = works(d.social), works(d.id)
	v := d.view
	d.mu.Unlock()
	if v != before {
		d.told(v)
	}
}

// works reports whether a reader is there and well; nil is none.
func works(d device.Device) bool { return d != nil && reading(d.Health().State) }

// reading reports whether cards can be read in a state; busy means that one is
// being read right now.
func reading(s device.State) bool {
	switch s {
	case device.StateReady, device.StateLow, device.StateBusy:
		return true
	case device.StateAbsent, device.StateFault, device.StateUnknown:
		return false
	}
	return false
}

// readers looks whether any reader is left, or one came back.
func (d *cardDesk) readers() {
	social, id := works(d.social), works(d.id)
	d.set(func(v *ui.CardView) {
		switch {
		case !social && !id:
			v.Phase = ui.CardNoReader
			v.Claim = resident.Claim{}
		case v.Phase == ui.CardNoReader || v.Phase == "":
			v.Phase = ui.CardWaiting
		}
	})
}

func (d *cardDesk) socialEvent(e device.CardEvent) {
	switch e.State {
	case device.CardInserted:
		d.sess.CardIn()
		d.begin(device.KindCardReader)
		return
	case device.CardNone:
		d.gone(device.KindCardReader)
		d.sess.CardGone()
	case device.CardNoReader:
		d.gone(device.KindCardReader)
		d.sess.CardGone()
		d.readers()
	case device.CardUnresponsive:
		d.set(func(v *ui.CardView) {
			d.stopLocked()
			*v = ui.CardView{Phase: ui.CardWrongWay, Seq: d.next(), Reader: string(device.KindCardReader)}
		})
	case device.CardHeld:
		d.set(func(v *ui.CardView) {
			d.stopLocked()
			*v = ui.CardView{Phase: ui.CardHeld, Seq: d.next(), Reader: string(device.KindCardReader)}
		})
	case device.CardMustBeLifted:
		// A contact card is never lifted.
	}
}

func (d *cardDesk) idEvent(e device.CardEvent) {
	switch e.State {
	case device.CardInserted:
		d.begin(device.KindIDReader)
	case device.CardNone:
		d.idGone()
	case device.CardNoReader:
		d.idGone()
		d.readers()
	case device.CardUnresponsive, device.CardMustBeLifted, device.CardHeld:
		// Read once; it lies there until it is lifted. Nothing to show unless
		// somebody asks for another read (Reread).
	}
}

// next is the number of a new card; the caller holds mu.
func (d *cardDesk) next() uint64 {
	d.seq++
	return d.seq
}

// gone notes that the contact card went. What the other reader shows or reads
// is none of its business.
func (d *cardDesk) gone(kind device.Kind) {
	d.set(func(v *ui.CardView) {
		if v.Reader != string(kind) {
			return
		}
		torn := v.Phase == ui.CardReading
		*v = ui.CardView{Phase: ui.CardWaiting, Seq: v.Seq}
		if torn {
			v.Phase, v.Reader = ui.CardTorn, string(kind)
		}
		d.stopLocked()
	})
}

// idGone: an ID card that was read may be lifted at any time.
func (d *cardDesk) idGone() {
	d.set(func(v *ui.CardView) {
		if v.Reader != string(device.KindIDReader) {
			return
		}
		switch v.Phase {
		case ui.CardReading:
			*v = ui.CardView{Phase: ui.CardTorn, Seq: v.Seq, Reader: v.Reader}
			d.stopLocked()
		case ui.CardRead, ui.CardLiftIDCard, ui.CardForeign, ui.CardDamaged, ui.CardTorn:
			*v = ui.CardView{Phase: ui.CardWaiting, Seq: v.Seq}
		case ui.CardWaiting, ui.CardWrongWay, ui.CardBlank, ui.CardHeld, ui.CardNoReader:
		}
	})
}

// stopLocked breaks off the read that is under way; the caller holds mu.
func (d *cardDesk) stopLocked() {
	if d.cancel != nil {
		d.cancel()
		d.cancel = nil
	}
}

// begin reads the card that just came.
func (d *cardDesk) begin(kind device.Kind) {
	// What is shown, which read is under way and its number change together:
	// the two readers call from goroutines of their own.
	d.set(func(v *ui.CardView) {
		if d.ctx == nil {
			return // not begun, or over
		}
		d.stopLocked()
		ctx, cancel := context.WithTimeout(d.ctx, readLimit)
		d.cancel = cancel
		seq := d.next()
		*v = ui.CardView{Phase: ui.CardReading, Seq: seq, Reader: string(kind)}
		d.wg.Go(func() {
			defer cancel()
			start := d.now()
			apart() // what is on the card shares no memory with what stays longer
			claim, err := d.read(ctx, kind)
			apart()
			d.finish(kind, seq, claim, err, d.now().Sub(start))
		})
	})
}

func (d *cardDesk) read(ctx context.Context, kind device.Kind) (resident.Claim, error) {
	if kind == device.KindIDReader {
		c, err := d.id.ReadID(ctx)
		if err != nil {
			return resident.Claim{}, err
		}
		return idClaim(c, d.now(), d.id.Health().Demo)
	}
	c, err := d.social.ReadCard(ctx)
	if err != nil {
		return resident.Claim{}, err
	}
	return cardClaim(c, d.now(), d.social.Health().Demo)
}

// finish publishes the outcome of a read if its card is still the present one.
func (d *cardDesk) finish(kind device.Kind, seq uint64, claim resident.Claim, err error, took time.Duration) {
	fresh := false
	if d.counted != nil {
		d.counted(kind, err == nil)
	}
	d.set(func(v *ui.CardView) {
		if v.Seq != seq || v.Phase != ui.CardReading {
			return // another card, or taken out meanwhile
		}
		fresh = true
		*v = ui.CardView{Phase: ui.CardRead, Seq: seq, Claim: claim, Reader: string(kind)}
		if err != nil {
			*v = ui.CardView{Phase: phaseOf(err), Seq: seq, Reader: string(kind), Detail: err.Error()}
		}
	})
	if !fresh {
		return
	}
	fields := map[string]string{"ms": millis(took)}
	if err != nil {
		fields["reason"] = string(phaseOf(err))
		d.note(oplog.CardRead, oplog.Failed, string(kind), fields)
		return
	}
	fields["card"] = string(claim.Source)
	d.note(oplog.CardRead, oplog.OK, string(kind), fields)
	switch s := d.sess.Current(); s.Phase {
	case session.Covered:
		d.sess.CardBack(claim)
	case session.Active, session.Asking:
		if s.Resident != nil && s.Helper == nil && !s.Resident.SamePerson(claim) {
			// Somebody else is here: what is on the screen is not hers.
			d.sess.End(s.Number, session.OtherCard)
		}
	case session.Nobody:
	}
}

// belongs notes whose session it is now.
func (d *cardDesk) belongs(n resident.IDNumber) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.holder = n
}

// forget drops the claim of the person whose session ended, though her card may
// still be there: the next person must not be taken for her. A card that came
// since stays.
func (d *cardDesk) forget() {
	d.mu.Lock()
	gone := d.holder
	d.holder = resident.IDNumber{}
	d.mu.Unlock()
	lying := d.id != nil && d.id.CardState().State != device.CardNone
	left := d.social != nil && d.social.CardState().State != device.CardNone
	d.set(func(v *ui.CardView) {
		if gone.IsZero() || v.Claim.Number != gone {
			return
		}
		phase, reader := ui.CardWaiting, ""
		switch {
		case v.Reader == string(device.KindIDReader) && lying:
			phase, reader = ui.CardLiftIDCard, v.Reader
		case v.Reader == string(device.KindCardReader) && left:
			reader = v.Reader // so that its going is news, and ends the reminder
		}
		*v = ui.CardView{Phase: phase, Seq: v.Seq, Reader: reader}
	})
}

// reread reads the card that is in once more.
func (d *cardDesk) reread() {
	v := d.current()
	switch {
	case v.Reader == string(device.KindIDReader) && d.id != nil:
		if d.id.CardState().State == device.CardInserted {
			d.begin(device.KindIDReader)
			return
		}
		d.set(func(v *ui.CardView) { *v = ui.CardView{Phase: ui.CardLiftIDCard, Seq: v.Seq, Reader: v.Reader} })
	case d.social != nil && d.social.CardState().State == device.CardInserted:
		d.begin(device.KindCardReader)
	default:
		d.readers()
	}
}

// phaseOf says what a failed read means for the page.
func phaseOf(err error) ui.CardPhase {
	switch {
	case errors.Is(err, device.ErrNoReader), errors.Is(err, device.ErrAbsent):
		return ui.CardNoReader
	case errors.Is(err, device.ErrNoCard):
		return ui.CardWaiting
	case errors.Is(err, device.ErrCardTorn), errors.Is(err, context.Canceled):
		return ui.CardTorn
	case errors.Is(err, device.ErrBlankCard):
		return ui.CardBlank
	case errors.Is(err, device.ErrForeignCard):
		return ui.CardForeign
	case errors.Is(err, device.ErrUnresponsive):
		return ui.CardWrongWay
	case errors.Is(err, device.ErrHeld), errors.Is(err, device.ErrBusy):
		return ui.CardHeld
	}
	return ui.CardDamaged
}

// cardClaim makes a claim of a social-security card. A number that cannot be a
// number is damage, not a person.
func cardClaim(c device.SocialSecurityCard, at time.Time, demo bool) (resident.Claim, error) {
	n, err := resident.ParseIDNumber(c.Number)
	if err != nil {
		return resident.Claim{}, errors.Join(device.ErrDamagedCard, err)
	}
	return resident.Claim{
		Source: resident.FromSocialCard, Number: n, Name: resident.NewName(c.Name), NameExact: c.NameExact,
		Sex: first(c.Sex, n.Sex()), Ethnic: c.Ethnic, BirthDate: first(c.BirthDate, n.BirthDate().Format("20060102")),
		CardNumber: c.CardNumber, CardIdentifier: c.CardIdentifier, CardVersion: c.Version,
		IssueDate: c.IssueDate, ExpiryDate: c.ExpiryDate, ReadAt: at, Demo: demo, Verification: resident.Unverified,
	}, nil
}

// idClaim makes a claim of an ID card. Cards of foreigners carry other numbers
// and go to a helper.
func idClaim(c device.IDCard, at time.Time, demo bool) (resident.Claim, error) {
	n, err := resident.ParseIDNumber(c.Number)
	if err != nil {
		return resident.Claim{}, errors.Join(device.ErrForeignCard, err)
	}
	return resident.Claim{
		Source: resident.FromIDCard, Number: n, Name: resident.NewName(c.Name), NameExact: true,
		Sex: first(c.Sex, n.Sex()), Ethnic: c.Ethnic, BirthDate: first(c.BirthDate, n.BirthDate().Format("20060102")),
		Address: c.Address, ExpiryDate: c.ValidUntil, IssueDate: c.ValidFrom, Authority: c.Authority,
		ReadAt: at, Demo: demo, Verification: resident.Unverified,
	}, nil
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
