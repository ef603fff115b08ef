package theme

import (
	"fmt"
	"image/color"
	"math"
)

// Palette is a set of colours.
type Palette int

// The palettes.
const (
	Day Palette = iota
	Night
	HighContrast
)

// Palettes lists all of them in the order in which the button steps through.
var Palettes = []Palette{Day, Night, HighContrast}

// String is the word on the button.
func (p Palette) String() string {
	switch p {
	case Day:
		return "日间"
	case Night:
		return "夜间"
	case HighContrast:
		return "高对比"
	}
	panic(fmt.Sprintf("theme: palette %d", int(p)))
}

// Colours are the colours of one palette by what they are for. Text colours
// have a contrast of 7:1 or more on every ground they are used on; white on
// Accent and BadFill, large and bold, 4.5:1 (WCAG 2.2, 1.4.6 and 1.4.3).
type Colours struct {
	Ground, Card, Line color.NRGBA // page, cards on it, their borders
	HeroTo             color.NRGBA // lower end of the gradient of a large card; the upper is Card
	Ink, Soft          color.NRGBA // text and second text on Ground, Card and HeroTo

	Bar, BarPill, BarLine             color.NRGBA // top bar, pills on it (opaque), line under it
	OnBar, StepNow, StepTodo          color.NRGBA
	BarGood, BarWarn, BarBad          color.NRGBA // dots of the line state
	HelpFill, HelpText, HelpFillPress color.NRGBA

	Link, LinkText  color.NRGBA // structure: outlines and icons; text on Card and Ground
	Tint, TintPress color.NRGBA // function keys, first candidate; LinkText is readable on it
	Press           color.NRGBA // a card or key under the finger
	Mark            color.NRGBA // second colour of icons (orange)

	Accent, AccentPress, OnAccent color.NRGBA // the next step
	ChosenTint, ChosenLine        color.NRGBA // selected choice

	Good, GoodTint, GoodFill           color.NRGBA
	Warn, WarnTint                     color.NRGBA
	Bad, BadTint, BadFill, OnBad       color.NRGBA
	Off, OffText, OffLine              color.NRGBA // disabled
	Shade, OnShade, Frame, BadPress    color.NRGBA // ground of pictures; frame around a found page
	Paper, OnPaper                     color.NRGBA // signature, QR: white in every palette
	Slot, SlotDark, Chip, CardLine, Go color.NRGBA // drawing of the card slot
}

func hex(v uint32) color.NRGBA {
	return color.NRGBA{R: uint8(v >> 16), G: uint8(v >> 8), B: uint8(v), A: 0xff}
}

// Colours returns the palette's colours.
func (p Palette) Colours() *Colours {
	switch p {
	case Day:
		return &day
	case Night:
		return &night
	case HighContrast:
		return &contrast
	}
	panic(fmt.Sprintf("theme: palette %d", int(p)))
}

var day = Colours{
	Ground: hex(0xF3F6FA), Card: hex(0xFFFFFF), Line: hex(0xD5DDE8), HeroTo: hex(0xEEF4FC),
	Ink: hex(0x14202E), Soft: hex(0x414F65),
	Bar: hex(0x12407A), BarPill: hex(0x2B548A), BarLine: hex(0x12407A),
	OnBar: hex(0xFFFFFF), StepNow: hex(0xFFB27A), StepTodo: hex(0x4D709E),
	BarGood: hex(0x6FE0A0), BarWarn: hex(0xFFD166), BarBad: hex(0xFFA8A8),
	HelpFill: hex(0xFFFFFF), HelpText: hex(0x12407A), HelpFillPress: hex(0xD6E4F5),
	Link: hex(0x1D5FAE), LinkText: hex(0x12407A), Tint: hex(0xE6EEF8), TintPress: hex(0xCADCF1),
	Press: hex(0xE9F1FB), Mark: hex(0xD95F0E),
	Accent: hex(0xC4520A), AccentPress: hex(0x9C3F05), OnAccent: hex(0xFFFFFF),
	ChosenTint: hex(0xFFF5EE), ChosenLine: hex(0xD95F0E),
	Good: hex(0x0E5A33), GoodTint: hex(0xE3F3EA), GoodFill: hex(0x1B7F4B),
	Warn: hex(0x6B3F00), WarnTint: hex(0xFFF2DC),
	Bad: hex(0x8C1622), BadTint: hex(0xFDE9EA), BadFill: hex(0xB3202E), OnBad: hex(0xFFFFFF), BadPress: hex(0x8C1622),
	Off: hex(0xE7EBF1), OffText: hex(0x455263), OffLine: hex(0xD5DDE8),
	Shade: hex(0x20262E), OnShade: hex(0xFFFFFF), Frame: hex(0x3BD483),
	Paper: hex(0xFFFFFF), OnPaper: hex(0x101820),
	Slot: hex(0x12407A), SlotDark: hex(0x0A2A54), Chip: hex(0xF2B24C), CardLine: hex(0xC7D6EA), Go: hex(0xFFB27A),
}

var night = Colours{
	Ground: hex(0x0E1622), Card: hex(0x172334), Line: hex(0x3A4B63), HeroTo: hex(0x1B2B42),
	Ink: hex(0xF2F6FB), Soft: hex(0xC3CEDC),
	Bar: hex(0x0B2B55), BarPill: hex(0x26426B), BarLine: hex(0x0B2B55),
	OnBar: hex(0xFFFFFF), StepNow: hex(0xFFB27A), StepTodo: hex(0x4D668C),
	BarGood: hex(0x6FE0A0), BarWarn: hex(0xFFD166), BarBad: hex(0xFFA8A8),
	HelpFill: hex(0xF2F6FB), HelpText: hex(0x0B2B55), HelpFillPress: hex(0xC3D3E8),
	Link: hex(0x79B0F2), LinkText: hex(0xB4D4FA), Tint: hex(0x1E334E), TintPress: hex(0x273E5C),
	Press: hex(0x22334B), Mark: hex(0xFFA366),
	Accent: hex(0xC4520A), AccentPress: hex(0x9C3F05), OnAccent: hex(0xFFFFFF),
	ChosenTint: hex(0x3A2416), ChosenLine: hex(0xFFA366),
	Good: hex(0x9BE8BE), GoodTint: hex(0x12331F), GoodFill: hex(0x1B7F4B),
	Warn: hex(0xFFD58A), WarnTint: hex(0x3A2A08),
	Bad: hex(0xFFBDBD), BadTint: hex(0x43161A), BadFill: hex(0xB3202E), OnBad: hex(0xFFFFFF), BadPress: hex(0x8C1622),
	Off: hex(0x202C3D), OffText: hex(0xB9C3D1), OffLine: hex(0x3A4B63),
	Shade: hex(0x05080D), OnShade: hex(0xFFFFFF), Frame: hex(0x3BD483),
	Paper: hex(0xFFFFFF), OnPaper: hex(0x101820),
	Slot: hex(0x2A5C9E), SlotDark: hex(0x0A1F3D), Chip: hex(0xF2B24C), CardLine: hex(0xC7D6EA), Go: hex(0xFFB27A),
}

var contrast = Colours{
	Ground: hex(0x000000), Card: hex(0x000000), Line: hex(0xFFFFFF), HeroTo: hex(0x000000),
	Ink: hex(0xFFFFFF), Soft: hex(0xFFFFFF),
	Bar: hex(0x000000), BarPill: hex(0x1A1A1A), BarLine: hex(0xFFFFFF),
	OnBar: hex(0xFFFFFF), StepNow: hex(0xFFE500), StepTodo: hex(0x6E6E6E),
	BarGood: hex(0x5CFF9D), BarWarn: hex(0xFFE500), BarBad: hex(0xFF9C9C),
	HelpFill: hex(0xFFFFFF), HelpText: hex(0x000000), HelpFillPress: hex(0xFFE500),
	Link: hex(0xFFFFFF), LinkText: hex(0xFFFFFF), Tint: hex(0x262626), TintPress: hex(0x4D4D00),
	Press: hex(0x3D3D00), Mark: hex(0xFFE500),
	Accent: hex(0xFFE500), AccentPress: hex(0xFFFFFF), OnAccent: hex(0x000000),
	ChosenTint: hex(0x333000), ChosenLine: hex(0xFFE500),
	Good: hex(0x8CFFBB), GoodTint: hex(0x00210F), GoodFill: hex(0x8CFFBB),
	Warn: hex(0xFFE500), WarnTint: hex(0x262200),
	Bad: hex(0xFFB3B3), BadTint: hex(0x2B0000), BadFill: hex(0xFFB3B3), OnBad: hex(0x000000), BadPress: hex(0xFFFFFF),
	Off: hex(0x000000), OffText: hex(0xC8C8C8), OffLine: hex(0x8A8A8A),
	Shade: hex(0x000000), OnShade: hex(0xFFFFFF), Frame: hex(0xFFE500),
	Paper: hex(0xFFFFFF), OnPaper: hex(0x000000),
	Slot: hex(0x3D3D3D), SlotDark: hex(0x000000), Chip: hex(0xFFE500), CardLine: hex(0x8A8A8A), Go: hex(0xFFE500),
}

// Contrast is the contrast ratio of two colours, 1 to 21 (WCAG 2.2).
func Contrast(a, b color.Color) float64 {
	la, lb := luminance(a), luminance(b)
	if la < lb {
		la, lb = lb, la
	}
	return (la + 0.05) / (lb + 0.05)
}

// luminance is the relative luminance (IEC 61966-2-1 as used by WCAG).
func luminance(c color.Color) float64 {
	r, g, b, _ := c.RGBA()
	lin := func(v uint32) float64 {
		x := float64(v) / 0xffff
		if x <= 0.04045 {
			return x / 12.92
		}
		return math.Pow((x+0.055)/1.055, 2.4)
	}
	return 0.2126*lin(r) + 0.7152*lin(g) + 0.0722*lin(b)
}
