package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// cardSays is what opensc-tool prints when it has read the number's record: its
// identifier, its length and the first digits.
const cardSays = "08 12 31 34 30 38 33 30"

const (
	// oursMost is the promise: what the terminal itself may take from the card's
	// last answer to the name, ms.
	oursMost = 20
	// cardRounds is how often at least a card is put in, for a 95th of a hundred
	// to be worth something.
	cardRounds = 20
	// closeLook is how often the screen is asked for the name: each look is work
	// for the terminal too.
	closeLook = 5 * time.Millisecond
)

// cardAPDUs are the commands that the terminal sends to a card of form 1.
func cardAPDUs() []string {
	out := []string{"00A404000F7378312E73682EC9E7BBE1B1A3D5CF", "00A4020002EF05"}
	for _, r := range [][2]int{{0x01, 16}, {0x02, 1}, {0x03, 4}, {0x04, 12}, {0x05, 4}, {0x06, 4}, {0x07, 9}} {
		out = append(out, fmt.Sprintf("00B2%02X00%02X", r[0], r[1]+2))
	}
	out = append(out, "00A4020002EF06")
	for _, r := range [][2]int{{0x08, 18}, {0x09, 30}, {0x4E, 20}, {0x0A, 1}, {0x0B, 1}, {0x0C, 3}, {0x0D, 4}} {
		out = append(out, fmt.Sprintf("00B2%02X00%02X", r[0], r[1]+2))
	}
	return out
}

// simHand moves the simulated card over the simulator's control socket itself:
// starting kioskctl for it would count.
type simHand struct {
	conn net.Conn
	in   *bufio.Scanner
}

// simTimes are when the card was asked first and when it answered last.
type simTimes struct{ Asked, Answered time.Time }

func dialSim(dir string) (*simHand, error) {
	conn, err := net.Dial("unix", filepath.Join(dir, "control.sock"))
	if err != nil {
		return nil, fmt.Errorf("simulator: %w", err)
	}
	return &simHand{conn, bufio.NewScanner(conn)}, nil
}

func (h *simHand) do(verb, card string) (simTimes, error) {
	var reply struct {
		OK    bool
		Error string
		State simTimes
	}
	line, err := json.Marshal(map[string]string{"do": verb, "card": card})
	if err != nil {
		return simTimes{}, fmt.Errorf("simulator %s: %w", verb, err)
	}
	if err := h.conn.SetDeadline(time.Now().Add(pageWait)); err != nil {
		return simTimes{}, fmt.Errorf("simulator %s: %w", verb, err)
	}
	if _, err := h.conn.Write(append(line, '\n')); err != nil {
		return simTimes{}, fmt.Errorf("simulator %s: %w", verb, err)
	}
	if !h.in.Scan() {
		return simTimes{}, fmt.Errorf("simulator %s: no answer: %w", verb, errors.Join(net.ErrClosed, h.in.Err()))
	}
	if err := json.Unmarshal(h.in.Bytes(), &reply); err != nil {
		return simTimes{}, fmt.Errorf("simulator %s: %w", verb, err)
	}
	if !reply.OK {
		return simTimes{}, fmt.Errorf("simulator %s: %s", verb, reply.Error)
	}
	return reply.State, nil
}

// cardTimes are the parts of many readings, ms: from the card put in to the
// first command (the reader and pcscd notice it), from there to the last answer
// (the card, the reader and pcscd), from there to the end, and all of it.
type cardTimes struct{ notice, card, after, all []float64 }

func (c *cardTimes) add(in time.Time, st simTimes, end time.Time) error {
	if st.Asked.Before(in) || st.Answered.Before(st.Asked) || end.Before(st.Answered) {
		return fmt.Errorf("card times out of order: in %v, asked %v, answered %v, end %v", in, st.Asked, st.Answered, end)
	}
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	c.notice, c.card = append(c.notice, ms(st.Asked.Sub(in))), append(c.card, ms(st.Answered.Sub(st.Asked)))
	c.after, c.all = append(c.after, ms(end.Sub(st.Answered))), append(c.all, ms(end.Sub(in)))
	return nil
}

// parts says what a reading is made of.
func (c *cardTimes) parts() string {
	return fmt.Sprintf("noticing %.0f, card %.1f, after it %.1f", quantile(c.notice, .5), quantile(c.card, .5), quantile(c.after, .5))
}

// benchCard puts a card in, again and again, until its name is on the page, and
// has opensc-tool send the same commands to it. The simulated card tells when it
// was asked and when it answered, so that what is the card's and what is ours
// are told apart.
func benchCard(ctx context.Context, b benchStage) ([]figure, error) {
	s, p, err := enrolledStage(ctx, b)
	defer strikeAll(s)
	if err != nil {
		return nil, err
	}
	hand, err := dialSim(s.simDir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = hand.conn.Close() }()
	rounds := max(b.rounds, cardRounds)
	ours, err := p.readCards(ctx, hand, rounds)
	if err != nil {
		return nil, err
	}
	other, err := openscCards(ctx, hand, rounds)
	if err != nil {
		return nil, err
	}
	const rival = "opensc-tool -w -s, same commands"
	rows := []figure{}
	for _, q := range []float64{.5, .95} {
		rows = append(rows, figure{Name: fmt.Sprintf("card put in to name on the page, p%.0f", 100*q), Unit: "ms", Ours: quantile(ours.all, q),
			Rival: rival, Other: quantile(other.all, q), Note: "ours: " + ours.parts() + "; opensc-tool shows no page: " + other.parts()})
	}
	for _, q := range []float64{.5, .95} {
		rows = append(rows, figure{Name: fmt.Sprintf("of it from the first command to the last answer, p%.0f", 100*q), Unit: "ms", Ours: quantile(ours.card, q),
			Rival: rival, Other: quantile(other.card, q), Note: fmt.Sprintf("%d cards each", rounds)})
	}
	for _, q := range []float64{.5, .95} {
		rows = append(rows, figure{Name: fmt.Sprintf("of it from the last answer to the name on the page, p%.0f", 100*q), Unit: "ms", Ours: quantile(ours.after, q),
			Rival: "promised", Other: oursMost, Note: "giving the card back and changing the page, painted by the processor; looked at every 5 ms"})
	}
	decoded, err := benchDecode(ctx, b.root)
	return append(rows, decoded...), err
}

// benchDecode measures what driver and card application add to a reading: all
// but the time below the port.
func benchDecode(ctx context.Context, root string) ([]figure, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^BenchmarkInsertToName$", "-benchtime", "100x", "./device/social")
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("go test -bench: %w\n%s", err, out)
	}
	got := benchLines(out)["BenchmarkInsertToName"]
	var rows []figure
	for _, q := range []string{"p50", "p95"} {
		all, ours := got["ms-all-"+q], got["ms-ours-"+q]
		if all == 0 || ours == 0 {
			return rows, fmt.Errorf("no %s in the benchmark's output\n%s", q, out)
		}
		rows = append(rows, figure{Name: "of it ours in reading: commands and decoding, " + q, Unit: "ms", Ours: ours,
			Rival: "promised", Other: oursMost, Note: fmt.Sprintf("of %.2f ms with card, pcscd and giving it back", all)})
	}
	return rows, nil
}

// readCards has the terminal read a card again and again.
func (p *player) readCards(ctx context.Context, hand *simHand, rounds int) (c cardTimes, err error) {
	if err := p.st.startKiosk(ctx); err != nil {
		return c, err
	}
	for range rounds {
		if _, err := p.page(ctx, "home"); err != nil {
			return c, err
		}
		in := time.Now()
		if _, err := hand.do("insert", "zhang"); err != nil {
			return c, err
		}
		end, err := p.named(ctx, "张")
		if err != nil {
			return c, err
		}
		st, err := hand.do("state", "")
		if err != nil {
			return c, err
		}
		if err := c.add(in, st, end); err != nil {
			return c, err
		}
		if _, err := p.until(ctx, "the county's check", countyWait, settled); err != nil {
			return c, err
		}
		if err := p.tap(ctx, "back"); err != nil {
			return c, err
		}
		if _, err := hand.do("remove", ""); err != nil {
			return c, err
		}
	}
	if _, err := p.page(ctx, "home"); err != nil {
		return c, err
	}
	return c, p.st.stopKiosk(ctx)
}

// named is when the page that asks who it is says the name.
func (p *player) named(ctx context.Context, name string) (time.Time, error) {
	for end := time.Now().Add(pageWait); ; pause(ctx, closeLook) {
		s, err := p.see(ctx)
		if err == nil && s.Page == "identity" && s.says(name) {
			return time.Now(), nil
		}
		if err := errors.Join(err, ctx.Err()); err != nil || time.Now().After(end) {
			return time.Time{}, p.fail(ctx, "the name", s, err)
		}
	}
}

// openscCards has opensc-tool send the same commands to the same card.
func openscCards(ctx context.Context, hand *simHand, rounds int) (c cardTimes, err error) {
	argv := []string{"opensc-tool", "-w", "-c", "default"}
	for _, a := range cardAPDUs() {
		argv = append(argv, "-s", a)
	}
	for range rounds {
		cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
		var said bytes.Buffer
		cmd.Stdout, cmd.Stderr = &said, &said
		if err := cmd.Start(); err != nil {
			return c, fmt.Errorf("opensc-tool: %w", err)
		}
		pause(ctx, time.Second) // it waits for the card by then
		in := time.Now()
		_, err := hand.do("insert", "zhang")
		if err := errors.Join(err, cmd.Wait()); err != nil {
			return c, fmt.Errorf("opensc-tool: %w\n%s", err, said.String())
		}
		end := time.Now()
		if !strings.Contains(said.String(), cardSays) {
			return c, fmt.Errorf("opensc-tool read no card\n%s", said.String())
		}
		st, err := hand.do("state", "")
		if err != nil {
			return c, err
		}
		if err := c.add(in, st, end); err != nil {
			return c, err
		}
		if _, err := hand.do("remove", ""); err != nil {
			return c, err
		}
		pause(ctx, time.Second)
	}
	return c, nil
}
