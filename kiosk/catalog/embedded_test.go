package catalog

import "testing"

func TestEmbeddedCatalogueIsSound(t *testing.T) {
	c, err := Embedded()
	if err != nil {
		t.Fatal(err)
	}
	t.Log(len(c.Services))
}
