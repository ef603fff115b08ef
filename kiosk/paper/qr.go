package paper

import (
	"github.com/skip2/go-qrcode"
)

// The receipt's code, in millimetres. Its text grows with the log: 690
// characters at ten records, 1,660 at most at ten million, which at level M are
// 85 to 129 modules a side.
const (
	codeSide = 60.0
	// codeModule is the smallest module. At 0.37 a scan of 200 dpi that lies
	// askew could not be read any more; an old printer (203 dpi) has three dots
	// for 0.42.
	codeModule  = 0.42
	quietZone   = 4   // modules that stay white around it (ISO/IEC 18004 §6.3.8)
	codeLabel   = 5.5 // the line under it
	codeLabelPt = 9   // its size in points
)

// encodeQR makes the modules of a code that is drawn on a side of mm millimetres.
// nil when the text does not fit.
func encodeQR(text string, mm float64) [][]bool {
	return encodeModules(text, func(modules int) bool { return mm/float64(modules) >= codeModule })
}

// encodeModules makes the modules of a QR code (ISO/IEC 18004), true is dark: at
// level M, which bears a fold or a stain on 15 % of it, or at L when M does not
// fit. nil when neither does.
func encodeModules(text string, fits func(modules int) bool) [][]bool {
	for _, level := range []qrcode.RecoveryLevel{qrcode.Medium, qrcode.Low} {
		q, err := qrcode.New(text, level)
		if err != nil {
			continue
		}
		q.DisableBorder = true
		if bits := q.Bitmap(); fits(len(bits)) {
			return bits
		}
	}
	return nil
}

// qr draws the modules of a code as vector squares on a side of mm millimetres.
func (d *doc) qr(x, y, mm float64, bits [][]bool) {
	m := mm / float64(len(bits))
	quiet := quietZone * m
	d.bar(x-quiet, y-quiet, mm+2*quiet, mm+2*quiet, white)
	d.fill(0)
	for r, row := range bits {
		for c := 0; c < len(row); {
			n := 0
			for c+n < len(row) && row[c+n] {
				n++
			}
			if n > 0 {
				// A hair of overlap closes the seams that renderers leave.
				d.pdf.RectFromUpperLeftWithStyle(x+float64(c)*m, y+float64(r)*m, float64(n)*m+0.01, m+0.01, "F")
			}
			c += max(n, 1)
		}
	}
}
