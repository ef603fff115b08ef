package speech_test

import (
	"testing"

	"cunban/device"
	"cunban/device/contract"
	"cunban/device/speech"
)

func TestDeviceContract(t *testing.T) {
	contract.TestDevice(t, "cunban/device/speech", func(*testing.T) device.Device {
		return speech.New(speech.Options{SoundCard: func() bool { return false }})
	})
}
