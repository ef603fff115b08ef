//go:build !cgo

package pcsc

// newService without cgo: there is no PC/SC to talk to, so the reader is
// absent. The rest of the package builds and its tests run.
func newService() service { return noService{} }

type noService struct{}

func (noService) establish() (session, error) { return nil, errNoService }
