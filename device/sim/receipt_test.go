package sim

import (
	"context"
	"image"
	"image/color"
	_ "image/png" // what comes out
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// The printer's behaviour under the driver is held by the contract in
// device/print/escpos; here is what only the simulator promises.

// startReceipt runs a receipt printer and opens a line to it.
func startReceipt(t *testing.T) (*Receipt, net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := NewReceipt(ReceiptOptions{Dir: t.TempDir(), RowTime: time.Microsecond})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Serve(ctx, ln) }()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(); cancel(); <-ended })
	return p, c
}

func talk(t *testing.T, c net.Conn, send []byte, want ...byte) {
	t.Helper()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(send); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != string(want) {
		t.Fatalf("% x answered % x (%v), want % x", send, got, err, want)
	}
}

func TestReceiptTellsItsCondition(t *testing.T) {
	p, c := startReceipt(t)
	s := New(Options{Receipt: p})
	for _, x := range []struct {
		trouble ReceiptTrouble
		want    [4]byte
	}{
		{ReceiptWell, [4]byte{0x12, 0x12, 0x12, 0x12}}, {ReceiptLow, [4]byte{0x12, 0x12, 0x12, 0x1e}},
		{ReceiptNoPaper, [4]byte{0x1a, 0x32, 0x12, 0x7e}}, {ReceiptCoverOpen, [4]byte{0x1a, 0x16, 0x12, 0x12}},
		{ReceiptJammed, [4]byte{0x1a, 0x52, 0x1a, 0x12}}, {ReceiptOffline, [4]byte{0x1a, 0x12, 0x12, 0x12}},
	} {
		p.Set(x.trouble)
		for n, want := range x.want {
			talk(t, c, []byte{0x10, 4, byte(n + 1)}, want)
		}
		if got := s.State().Receipt; got != string(x.trouble) {
			t.Errorf("the panel is told %q", got)
		}
	}
}

// TestReceiptKeepsWhatCameOut: the dots of a picture are those of the file; a
// real-time command in the middle of a picture is answered and stays a picture.
func TestReceiptKeepsWhatCameOut(t *testing.T) {
	p, c := startReceipt(t)
	picture := []byte{0x1d, 'v', '0', 0, 3, 0, 2, 0, 0x80, 0, 1, 0x10, 0x04, 0x01}
	talk(t, c, append(append([]byte{0x1b, '@'}, picture...), 0x1d, 'V', 66, 0, 0x1d, 'r', 1), 0x12, 0)
	n, files := p.Pieces()
	if n != 1 || len(files) != 1 {
		t.Fatalf("%d pieces, %v", n, files)
	}
	f, err := os.Open(files[0])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	m, _, err := image.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	dark := map[image.Point]bool{{32, 0}: true, {32 + 23, 0}: true, {32 + 3, 1}: true, {32 + 13, 1}: true, {32 + 23, 1}: true}
	for y := range m.Bounds().Dy() {
		for x := range m.Bounds().Dx() {
			if (color.GrayModel.Convert(m.At(x, y)).(color.Gray).Y == 0) != dark[image.Pt(x, y)] {
				t.Errorf("dot %d of row %d", x, y)
			}
		}
	}
	talk(t, c, []byte{0x1d, 'I', 67}, append([]byte{0x5f}, ReceiptName+"\x00"...)...)
	talk(t, c, []byte{0x1d, '(', 'H', 6, 0, 48, 48, 'A', 'B', 'C', 'D'}, 0x37, 0x22, 'A', 'B', 'C', 'D', 0)
}

func TestReceiptForgetsWhenTold(t *testing.T) {
	p, c := startReceipt(t)
	p.Set(ReceiptNoPaper)
	talk(t, c, append([]byte{0x1d, 'v', '0', 0, 1, 0, 1, 0, 0xff, 0x1d, 'V', 66, 0}, clearBuffers...), 0x37, 0x25, 0)
	p.Set(ReceiptWell)
	talk(t, c, []byte{0x1d, 'r', 1}, 0)
	if n, _ := p.Pieces(); n != 0 || p.Hanging() != 0 {
		t.Errorf("%d pieces, %d rows", n, p.Hanging())
	}
}

// TestReceiptByTheDoor: the panel and kioskctl move it by one verb.
func TestReceiptByTheDoor(t *testing.T) {
	dir := t.TempDir()
	p := NewReceipt(ReceiptOptions{})
	s := New(Options{Dir: dir, VPCD: "127.0.0.1:1", Receipt: p})
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- s.Run(ctx, func() { close(ready) }) }()
	<-ready
	for _, trouble := range ReceiptTroubles {
		if r := s.Do(ctx, Request{Do: ReceiptSet, Device: string(trouble)}); !r.OK || p.Trouble() != trouble {
			t.Errorf("%s: %+v", trouble, r)
		}
	}
	if r := s.Do(ctx, Request{Do: ReceiptSet, Device: "fire"}); r.OK || r.Error == "" || p.Trouble() != ReceiptOffline {
		t.Errorf("%+v", r)
	}
	cancel()
	<-ended
}
