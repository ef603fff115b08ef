package vendor

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"cunban/device"
)

// maxHealth is how many health lines a driver may send in a minute: each may
// become a record of the operation log.
const maxHealth = 30

// answer is how a call ended.
type answer struct {
	result json.RawMessage
	err    error
}

// call is one request of somebody.
type call struct {
	ctx    context.Context
	do     string
	args   any
	limit  time.Duration
	told   func(Message) // of events; may be nil
	answer chan answer   // has room for the one answer
	id     uint64
	done   bool // answered
	cancel bool // the driver was told
}

func newCall(ctx context.Context, do string, args any, limit time.Duration, told func(Message)) *call {
	return &call{ctx: ctx, do: do, args: args, limit: limit, told: told, answer: make(chan answer, 1)}
}

// end answers once.
func (c *call) end(a answer) {
	if !c.done {
		c.done = true
		c.answer <- a
	}
}

// life is the conversation with one process. All but calls and ended belongs to
// the goroutine of run.
type life struct {
	d       *Driver
	p       *process
	calls   chan *call
	ended   chan struct{}
	todo    []*call // our own requests, before anybody's
	cur     *call   // waits for its reply
	last    uint64  // id given out last
	timer   *time.Timer
	saidBye bool
	told    device.Health // what it told of its health; no State = nothing yet
	sick    bool          // the last check failed
	name    string
	demo    bool
	minute  time.Time
	healths int
}

// run talks until ctx ends or the driver fails.
func (l *life) run(ctx context.Context) error {
	o := l.d.o
	l.timer = time.NewTimer(o.Hello)
	defer l.timer.Stop()
	if err := l.say(order{Type: string(hello), Versions: []int{Version}}); err != nil {
		return err
	}
	if err := l.greet(ctx); err != nil {
		return err
	}
	ping := time.NewTicker(o.Ping)
	defer ping.Stop()
	l.todo = append([]*call{newCall(context.Background(), doCheck, nil, checkLimit, nil)}, l.todo...)
	for {
		if l.cur == nil && len(l.todo) > 0 {
			c := l.todo[0]
			l.todo = l.todo[1:]
			if err := l.begin(c); err != nil {
				return err
			}
		}
		calls, late, gone := l.calls, (<-chan time.Time)(nil), (<-chan struct{})(nil)
		if l.cur != nil {
			calls, late = nil, l.timer.C
			if !l.cur.cancel {
				gone = l.cur.ctx.Done()
			}
		}
		var err error
		select {
		case i := <-l.p.items:
			if err = i.err; err == nil {
				err = l.hear(i.m)
			}
		case c := <-calls:
			err = l.begin(c)
		case <-gone:
			err = l.breakOff()
		case <-late:
			err = fmt.Errorf("%w to %s", ErrHung, l.cur.do)
		case <-ping.C:
			if l.cur == nil {
				l.todo = append(l.todo, newCall(context.Background(), doCheck, nil, checkLimit, nil))
			}
		case <-ctx.Done():
			_ = l.say(order{Type: string(bye)}) // it ends either way
			return ctx.Err()
		}
		if err != nil {
			return err
		}
	}
}

// say sends an order; what it said is wiped.
func (l *life) say(o order) error {
	b, err := o.line()
	if err != nil {
		return err
	}
	defer clear(b)
	return l.p.write(b, l.d.o.Grace)
}

// greet waits for the driver's hello.
func (l *life) greet(ctx context.Context) error {
	for {
		select {
		case i := <-l.p.items:
			switch {
			case i.err != nil:
				return i.err
			case i.m.Type != hello:
				return fmt.Errorf("%w: %s before hello", ErrProtocol, i.m.Type)
			case i.m.Version != Version:
				return fmt.Errorf("%w: %d", ErrVersion, i.m.Version)
			}
			l.name, l.demo = l.d.o.Name+"："+i.m.Name, i.m.Demo
			l.d.up(l, i.m)
			return nil
		case <-l.timer.C:
			return fmt.Errorf("%w to hello", ErrHung)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// begin sends a request.
func (l *life) begin(c *call) error {
	if err := c.ctx.Err(); err != nil {
		c.end(answer{err: fmt.Errorf("%w: %w", device.ErrBusy, err)})
		return nil
	}
	l.last++
	c.id = l.last
	l.cur = c
	l.timer.Reset(c.limit + l.d.o.Grace)
	return l.say(order{Type: "request", ID: c.id, Do: c.do, MS: c.limit.Milliseconds(), Args: c.args})
}

// breakOff tells the driver that nobody waits any more; it has grace to reply.
func (l *life) breakOff() error {
	l.cur.end(answer{err: l.cur.ctx.Err()})
	l.cur.cancel = true
	l.timer.Reset(l.d.o.Grace)
	return l.say(order{Type: "cancel", ID: l.cur.id})
}

// hear takes one message after hello.
func (l *life) hear(m Message) error {
	switch m.Type {
	case hello:
		return fmt.Errorf("%w: hello twice", ErrProtocol)
	case bye:
		l.saidBye = true
		return fmt.Errorf("%w: it said bye", ErrExited)
	case health:
		return l.feels(m)
	case event:
		if l.cur == nil || l.cur.id != m.ID {
			return fmt.Errorf("%w: event of no request", ErrProtocol)
		}
		if l.cur.told != nil && !l.cur.done {
			l.cur.told(m)
		}
	case reply:
		if l.cur == nil || l.cur.id != m.ID {
			return fmt.Errorf("%w: reply to no request", ErrProtocol)
		}
		c := l.cur
		l.cur = nil
		l.replied(c, m)
	}
	return nil
}

func (l *life) replied(c *call, m Message) {
	switch {
	case !m.OK:
		c.end(answer{err: &Refusal{Do: c.do, Why: m.Error, Left: m.Left}})
	case c.done:
		clear(m.Result) // nobody waits
	default:
		c.end(answer{result: m.Result})
	}
	if c.do == doCheck {
		l.checked(m)
	}
}

// checked takes the outcome of a check. A driver that never speaks of health is
// as well as it answers.
func (l *life) checked(m Message) {
	switch {
	case !m.OK:
		state := device.StateFault
		if m.Error == "absent" {
			state = device.StateAbsent
		}
		l.sick = true
		l.set(ofDriver(Message{Type: health, State: state}))
	case l.told.State == "":
		l.set(device.Health{State: device.StateReady})
	case l.sick:
		l.sick = false
		l.set(l.told)
	}
}

// feels takes a line about the device's health.
func (l *life) feels(m Message) error {
	now := l.d.o.Now()
	if now.Sub(l.minute) >= time.Minute {
		l.minute, l.healths = now, 0
	}
	if l.healths++; l.healths > maxHealth {
		return fmt.Errorf("%w: %d health lines in a minute", ErrFlood, l.healths)
	}
	l.told = ofDriver(m)
	l.set(l.told)
	return nil
}

func (l *life) set(h device.Health) {
	h.Name, h.Demo = l.name, l.demo
	l.d.hub.SetHealth(h)
	if h.State.Usable() {
		l.d.hub.Good()
	}
}

// over answers everybody who still waits.
func (l *life) over(err error) {
	close(l.ended)
	for _, c := range slices.Concat([]*call{l.cur}, l.todo) {
		if c != nil {
			c.end(answer{err: err})
		}
	}
}
