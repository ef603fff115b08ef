package fill

import (
	"fyne.io/fyne/v2"

	"cunban/kiosk/catalog"
	"cunban/kiosk/ui"
	"cunban/kiosk/ui/input"
)

// columnPad is the pad for a table's column without choices.
func columnPad(c *ui.Ctx, col *catalog.Field, value string, set func(string)) fyne.CanvasObject {
	switch col.Type {
	case catalog.Number, catalog.Money, catalog.Phone, catalog.IDNo, catalog.BankCard, catalog.Year:
		return input.NewNumberPad(c.Look, numberOptions(col, value, set))
	case catalog.Date, catalog.Month:
		return input.NewDatePad(c.Look, input.DateOptions{Value: value, Now: today(c), MonthOnly: col.Type == catalog.Month, OnChange: set})
	case catalog.Text, catalog.VoiceText, catalog.Select, catalog.MultiSelect, catalog.Bool, catalog.Region6, catalog.Region12,
		catalog.DocScan, catalog.Photo, catalog.Face, catalog.Signature, catalog.Consent, catalog.PIN,
		catalog.BackendSelect, catalog.Table:
	}
	return input.NewTextPad(c.Look, input.TextOptions{Value: value, Max: col.Rules.MaxLen, Candidates: c.Candidates, Recogniser: c.Recogniser, OnChange: set})
}
