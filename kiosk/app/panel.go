package app

import (
	"context"

	"fyne.io/fyne/v2"

	"cunban/device/sim"
	"cunban/kiosk/ui/simpanel"
)

// RunPanel shows the panel of the simulated hardware until ctx ends or its
// window is closed. socket is the simulator's.
func RunPanel(ctx context.Context, socket string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c, err := sim.Dial(socket)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	fa := newFyne(appID + ".panel")
	win := fa.NewWindow("模拟设备")
	win.Resize(fyne.NewSize(460, 900))
	p := simpanel.New(ctx, fa, win, door{c})
	win.SetContent(p)
	context.AfterFunc(ctx, func() { fyne.Do(fa.Quit) })
	win.ShowAndRun()
	return nil
}

// door gives the panel the simulator's verbs without letting it know drivers.
type door struct{ c *sim.Client }

func (d door) Do(verb, arg string) (simpanel.State, error) {
	req := sim.Request{Do: sim.Verb(verb)}
	switch req.Do {
	case sim.Insert, sim.IDPut:
		req.Card = arg
	case sim.ReaderPlug, sim.ReaderUnplug, sim.ReceiptSet, sim.PINPerson:
		req.Device = arg
	}
	r, err := d.c.Do(context.Background(), req)
	if err != nil {
		return simpanel.State{}, err
	}
	s, err := d.c.Do(context.Background(), sim.Request{Do: sim.AskState})
	if err != nil || s.State == nil {
		return simpanel.State{}, err
	}
	out := simpanel.State{Reader: s.State.Reader, Card: s.State.Card, IDReader: s.State.IDReader, IDCard: s.State.IDCard,
		Scanner: s.State.Scanner, Paper: s.State.Paper, Receipt: s.State.Receipt, Line: s.State.Line, Vendor: s.State.Vendor, Lamps: s.State.Lamps, PINPerson: s.State.PINPerson}
	for _, c := range r.Cards {
		out.Cards = append(out.Cards, simpanel.Card{Name: c.Name, Title: c.Title})
	}
	return out, nil
}
