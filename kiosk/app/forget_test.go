package app

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestForgetsSoonAndLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		left, times := make(chan struct{}, 1), []time.Duration{}
		began := time.Now()
		done := make(chan struct{})
		go func() {
			defer close(done)
			forgets(ctx, left, func() { times = append(times, time.Since(began)) })
		}()
		left <- struct{}{}
		time.Sleep(forgetLate / 2) // synctest's clock
		left <- struct{}{}         // the next one leaves: the late look waits for her too
		time.Sleep(3 * forgetLate)
		cancel()
		<-done
		half := forgetLate / 2
		want := []time.Duration{forgetSoon, forgetAgain, half + forgetSoon, half + forgetAgain, half + forgetLate}
		if len(times) != len(want) {
			t.Fatalf("forgot at %v, want %v", times, want)
		}
		for i := range want {
			if times[i] != want[i] {
				t.Errorf("forgot at %v, want %v", times, want)
			}
		}
	})
}
