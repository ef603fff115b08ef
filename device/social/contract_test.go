package social_test

import (
	"testing"

	"cunban/device"
	"cunban/device/contract"
	"cunban/device/internal/pcscdtest"
	"cunban/device/pcsc"
	"cunban/device/sim"
	"cunban/device/social"
)

// vpcdHarness is the real stack: pcscd with the virtual reader, the simulator's
// cards in it, driven through the control socket.
type vpcdHarness struct {
	pcscd *sim.Pcscd
	sim   *sim.Client
}

func newVPCD(t testing.TB) *vpcdHarness {
	t.Helper()
	st := pcscdtest.New(t)
	return &vpcdHarness{pcscd: st.Pcscd, sim: st.Sim}
}

func (h *vpcdHarness) do(t testing.TB, req sim.Request) {
	t.Helper()
	pcscdtest.Do(t, h.sim, req)
}

var files = map[string]string{
	contract.CardGood: "zhang", contract.CardOther: "wang", contract.CardRare: "rare",
	contract.CardBlank: "blank", contract.CardForeign: "foreign", contract.CardUnreadable: "reversed",
}

func (h *vpcdHarness) Reader() device.CardReader { return social.New(pcsc.New(pcsc.Options{})) }
func (h *vpcdHarness) Insert(t *testing.T, card string) {
	h.do(t, sim.Request{Do: sim.Insert, Card: files[card]})
}
func (h *vpcdHarness) Remove(t *testing.T)      { h.do(t, sim.Request{Do: sim.Remove}) }
func (h *vpcdHarness) Tear(t *testing.T, n int) { h.do(t, sim.Request{Do: sim.Tear, N: n}) }
func (h *vpcdHarness) Unplug(t *testing.T)      { h.do(t, sim.Request{Do: sim.ReaderUnplug}) }
func (h *vpcdHarness) Plug(t *testing.T)        { h.do(t, sim.Request{Do: sim.ReaderPlug}) }
func (h *vpcdHarness) KillService(*testing.T)   { h.pcscd.Kill() }
func (h *vpcdHarness) StartService(t *testing.T) {
	if err := h.pcscd.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (h *vpcdHarness) Want(card string) device.SocialSecurityCard {
	return map[string]device.SocialSecurityCard{
		contract.CardGood: {CardIdentifier: "140830D15600000501A1B2C3D4E5F607", CardClass: "3", Version: "3.00", IssueDate: "20190516",
			ExpiryDate: "20290516", CardNumber: "D12345678", Number: "140830195603120024", Name: "张桂兰", NameExact: true,
			Sex: "2", Ethnic: "01", BirthPlace: "140830", BirthDate: "19560312"},
		contract.CardOther: {CardIdentifier: "142723D156000005F1E2D3C4B5A69788", CardClass: "1", Version: "1.00", IssueDate: "20121108",
			ExpiryDate: "20321108", CardNumber: "D00420817", Number: "142723194809051237", Name: "王守田", NameExact: true,
			Sex: "1", Ethnic: "01", BirthPlace: "142723", BirthDate: "19480905"},
		contract.CardRare: {CardIdentifier: "140830D156000005A0A1A2A3A4A5A6A7", CardClass: "3", Version: "2.00", IssueDate: "20160920",
			ExpiryDate: "20260920", CardNumber: "D99887766", Number: "140830199301080125", Name: "买买提吐尔逊·磑磑㛃古丽江𠮷", NameExact: true,
			Sex: "2", Ethnic: "05", BirthPlace: "140830", BirthDate: "19930108"},
	}[card]
}

func TestPCSCWithVirtualReader(t *testing.T) { contract.TestCardReader(t, newVPCD(t)) }

func TestDeviceWithVirtualReader(t *testing.T) {
	newVPCD(t)
	contract.TestDevice(t, "cunban/device/pcsc", func(*testing.T) device.Device {
		return social.New(pcsc.New(pcsc.Options{}))
	})
}
