// Package vendor attaches makers' closed drivers: card PIN pads, decoders of
// the ID card's photo, fingerprint readers, face cameras, indicator lights.
// Makers ship libraries that crash, hang and leak; here each runs in a process
// of its own and speaks protocol version 1, one JSON object a line, on standard
// input and output. The manual for makers is assets/manual/vendor-driver.md;
// sample drivers are device/vendor/sample (Go) and
// assets/manual/vendor/sample_driver.py (Python 3).
//
// It guarantees: a driver that crashes, hangs, floods, lies or leaves children
// behind costs the terminal nothing but that one device; its whole process group
// is killed, the state says so with a remedy in plain Chinese, and it is started
// again, ever more slowly (RestartMin to RestartMax), so that the device heals
// when the driver does. What a driver writes is bounded in length (MaxLine), in
// rate (MaxRate, MaxBytes) and in time. No text of a driver reaches a person:
// causes and remedies are keys that this package has words for. Of standard
// error only the last ASCII bytes are kept, digits and long words masked. A
// driver inherits no environment, no open file and no secret.
//
// PINs go one way: they are typed at the driver's own PIN pad and never cross
// the slot; the terminal learns how many digits were typed and how it ended.
// Photos, faces and fingerprints come as Secret, which prints and marshals
// masked and is wiped by whoever took it.
//
// # Protocol version 1
//
// UTF-8, one object a line, lines end with LF and are at most MaxLine bytes.
// Unknown fields are ignored, unknown types are an error. The driver speaks
// first only after the terminal's hello; the terminal has at most one request
// under way. Every request gets exactly one reply, cancelled ones too. The
// driver ends by itself at bye and at the end of its standard input.
//
//	terminal  {"type":"hello","versions":[1]}
//	driver    {"type":"hello","version":1,"name":"灯板 L4","can":["lights.set"],"demo":false}
//	driver    {"type":"health","state":"ready"}
//	driver    {"type":"health","state":"absent","cause":"unplugged","remedy":"replug","code":"E17"}
//	terminal  {"type":"request","id":1,"do":"health.check","ms":5000}
//	driver    {"type":"reply","id":1,"ok":true}
//	terminal  {"type":"request","id":2,"do":"lights.set","ms":2000,"args":{"on":["card"]}}
//	driver    {"type":"reply","id":2,"ok":true}
//	terminal  {"type":"request","id":3,"do":"pin.change","ms":90000}
//	driver    {"type":"event","id":3,"event":"pin.old","typed":2}
//	terminal  {"type":"cancel","id":3}
//	driver    {"type":"reply","id":3,"ok":false,"error":"cancelled"}
//	driver    {"type":"reply","id":3,"ok":false,"error":"wrong_pin","left":4}
//	terminal  {"type":"request","id":4,"do":"photo.wlt","ms":5000,"args":{"wlt":"<base64>"}}
//	driver    {"type":"reply","id":4,"ok":true,"result":{"image":"<base64 of BMP, JPEG or PNG>"}}
//	terminal  {"type":"bye"}
//
// finger.capture answers {"template":"<base64>"}, face.capture {"image":…}. A
// driver that ends in an orderly way sends bye itself.
package vendor

import "time"

// Version is the protocol's version that this package speaks.
const Version = 1

// Bounds on what a driver may write.
const (
	MaxLine   = 1 << 20 // bytes of a line, LF not counted
	MaxRate   = 200     // lines in a second
	MaxBytes  = 8 << 20 // bytes in a second, standard output and error together
	maxStderr = 4096    // bytes of standard error that are kept
)

// Times that hold where Options say nothing.
const (
	DefaultHello      = 10 * time.Second // from start to the driver's hello
	DefaultGrace      = 2 * time.Second  // after a deadline, a cancel or bye
	DefaultPing       = 30 * time.Second // between checks of an idle driver
	DefaultRestartMin = time.Second      // before the first restart; doubles
	DefaultRestartMax = time.Minute
	settled           = time.Minute // a life this long starts the doubling anew
)

// Capabilities that a driver may name in its hello.
const (
	CanLights = "lights.set"
	CanPIN    = "pin.change"
	CanWLT    = "photo.wlt"
	CanFinger = "finger.capture"
	CanFace   = "face.capture"
)

// doCheck is what every driver must do besides: look whether its device is well.
const doCheck = "health.check"
