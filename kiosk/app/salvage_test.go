package app

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"cunban/kiosk/cases"
	"cunban/kiosk/vault"
)

// TestDamagedVaultLosesNothing: cases wait for a line, the disk dies under the
// database, and with a new enrolment the county has them all the same.
func TestDamagedVaultLosesNothing(t *testing.T) {
	h := newHouse(t)
	h.cable.cut()
	first, second := h.submit(h.filled("S01", picture(t))), h.submit(h.filled("S01"))
	h.halt()
	f, err := os.OpenFile(filepath.Join(vaultDir(h.o.Config), "vault.db"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	const sector = 4096
	_, err = f.WriteAt(make([]byte, sector), sector) // the schema: SQLite can read nothing any more
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	x := h.again()
	if in := x.vault.Incidents(); len(in) != 1 || in[0].Kind != vault.IncidentDamaged {
		t.Fatalf("incidents %+v", in)
	}
	if h.atCounty() != 0 {
		t.Fatal("they were sent before")
	}
	h.cable.plug(h.county.addr)
	x.enrol(h.county, true)
	for _, c := range []cases.Case{first, second} {
		x.await("the county's number of "+c.ID, func() bool {
			got, err := x.Case(t.Context(), c.ID)
			return err == nil && got.State == cases.Accepted && got.Acceptance != ""
		})
	}
	if own, err := x.MyCases(t.Context(), zhang(t)); err != nil || len(own) != 2 {
		t.Errorf("their owner finds %d cases, %v", len(own), err)
	}
	if n := h.atCounty(); n != 2 {
		t.Errorf("%d cases at the county", n)
	}
}
