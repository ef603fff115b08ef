// Command write runs the generator from the folder of kiosk/oplog: it reads
// events.json and writes events_gen.go and the manual's table.
package main

import (
	"fmt"
	"os"

	"cunban/kiosk/oplog/internal/gen"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run() error {
	text, err := os.ReadFile("events.json")
	if err != nil {
		return err
	}
	c, err := gen.Parse(text)
	if err != nil {
		return err
	}
	src, err := c.Go()
	if err != nil {
		return err
	}
	if err := os.WriteFile("events_gen.go", src, 0o644); err != nil {
		return err
	}
	return os.WriteFile("../../assets/manual/operation-log-events.md", c.Manual(), 0o644)
}
