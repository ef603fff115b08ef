// Command sample is a driver for makers to begin with: a made-up light board
// with a PIN pad, which speaks protocol version 1 of cunban/device/vendor. It
// needs the standard library only and can be copied as it is.
//
// It guarantees what every driver must: one reply to each request, cancelled
// ones too; an end at bye and at the end of standard input; nothing personal on
// standard error.
//
// --pad says how a PIN change ends: ok, wrong_pin, locked, mismatch, or idle,
// where nobody types until the request is cancelled or its time is over.
package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"
)

// maxLine is the longest line of the protocol, in bytes.
const maxLine = 1 << 20

// order is a line of the terminal.
type order struct {
	Type     string          `json:"type"`
	Versions []int           `json:"versions"`
	ID       uint64          `json:"id"`
	Do       string          `json:"do"`
	MS       int64           `json:"ms"`
	Args     json.RawMessage `json:"args"`
}

// message is a line of ours.
type message map[string]any

func main() {
	pad := flag.String("pad", "ok", "how a PIN change ends: ok, wrong_pin, locked, mismatch, idle")
	flag.Parse()
	if err := run(*pad); err != nil {
		fmt.Fprintln(os.Stderr, "sample:", err)
		os.Exit(1)
	}
}

// run reads orders until bye or the end of the input. A request works on a
// goroutine of its own, so that its cancel can be read meanwhile.
func run(pad string) error {
	out := make(chan message)
	end := make(chan struct{})
	defer close(end)
	say := func(m message) {
		select {
		case out <- m:
		case <-end:
		}
	}
	go write(out, end)
	cancel := func() {}
	var current uint64
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, maxLine)
	for in.Scan() {
		var o order
		if err := json.Unmarshal(in.Bytes(), &o); err != nil {
			return fmt.Errorf("a line is not JSON: %w", err)
		}
		switch o.Type {
		case "hello":
			say(message{"type": "hello", "version": 1, "name": "示例灯板和密码键盘", "demo": true,
				"can": []string{"lights.set", "pin.change", "photo.wlt"}})
			say(message{"type": "health", "state": "ready"})
		case "request":
			ctx, stop := context.WithTimeout(context.Background(), time.Duration(o.MS)*time.Millisecond)
			cancel, current = stop, o.ID
			go func() {
				defer stop()
				say(reply(o.ID, do(ctx, o, pad, say)))
			}()
		case "cancel":
			if o.ID == current { // one that was just answered is nobody's any more
				cancel()
			}
		case "bye":
			return nil
		}
	}
	return in.Err()
}

// write is the only one who writes, so that lines never mix.
func write(out <-chan message, end <-chan struct{}) {
	enc := json.NewEncoder(os.Stdout)
	for {
		select {
		case m := <-out:
			if enc.Encode(m) != nil {
				return
			}
		case <-end:
			return
		}
	}
}

// outcome is what a request gives, or the word of the manual for why not.
type outcome struct {
	result any
	why    string
	left   int
}

func reply(id uint64, o outcome) message {
	switch {
	case o.why == "":
		return message{"type": "reply", "id": id, "ok": true, "result": o.result}
	case o.why == "wrong_pin":
		return message{"type": "reply", "id": id, "ok": false, "error": o.why, "left": o.left}
	}
	return message{"type": "reply", "id": id, "ok": false, "error": o.why}
}

func do(ctx context.Context, o order, pad string, say func(message)) outcome {
	switch o.Do {
	case "health.check": // a real driver asks its device here
		return outcome{}
	case "lights.set":
		var args struct{ On []string }
		if json.Unmarshal(o.Args, &args) != nil {
			return outcome{why: "bad_request"}
		}
		return outcome{} // a real driver switches the lamps here
	case "pin.change":
		return changePIN(ctx, o.ID, pad, say)
	case "photo.wlt":
		return decode(o.Args)
	}
	return outcome{why: "unsupported"}
}

// keyTime is between two keys of the made-up person at the pad.
const keyTime = 5 * time.Millisecond

// changePIN tells how many digits were typed, never which.
func changePIN(ctx context.Context, id uint64, pad string, say func(message)) outcome {
	for _, step := range []string{"pin.old", "pin.new", "pin.again"} {
		for typed := 0; typed <= 6; typed++ {
			say(message{"type": "event", "id": id, "event": step, "typed": typed})
			key := time.After(keyTime)
			if pad == "idle" {
				key = nil
			}
			select {
			case <-key:
			case <-ctx.Done():
				if ctx.Err() == context.DeadlineExceeded {
					return outcome{why: "timeout"}
				}
				return outcome{why: "cancelled"}
			}
		}
	}
	switch pad {
	case "ok":
		return outcome{}
	case "wrong_pin":
		return outcome{why: pad, left: 5}
	}
	return outcome{why: pad}
}

// decode stands where a maker's library decodes the photo; it gives a grey
// picture of the photo's size.
func decode(args json.RawMessage) outcome {
	var in struct{ WLT []byte }
	const wltSize = 1024
	if json.Unmarshal(args, &in) != nil || len(in.WLT) != wltSize {
		return outcome{why: "bad_request"}
	}
	return outcome{result: message{"image": base64.StdEncoding.EncodeToString(greyBMP(102, 126))}}
}

// greyBMP is a grey 24-bit BMP.
func greyBMP(w, h int) []byte {
	row := (w*3 + 3) &^ 3
	size := 54 + row*h
	b := make([]byte, size)
	copy(b, "BM")
	put := func(at, v int) { b[at], b[at+1], b[at+2], b[at+3] = byte(v), byte(v>>8), byte(v>>16), byte(v>>24) }
	put(2, size)
	put(10, 54)
	put(14, 40)
	put(18, w)
	put(22, h)
	b[26], b[28] = 1, 24
	for i := 54; i < size; i++ {
		b[i] = 0x99
	}
	return b
}
