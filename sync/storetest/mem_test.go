package storetest

import "testing"

func TestMem(t *testing.T) { Run(t, func(*testing.T) Store { return NewMem() }) }
