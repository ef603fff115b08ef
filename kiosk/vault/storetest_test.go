package vault

import (
	"testing"

	"cunban/sync/storetest"
)

// The vault keeps every promise that the sync engine rests on.
func TestSyncStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Store { return newBench(t).v })
}
