// Package screen ties the pages together: it is the one place that knows every
// page package, so that they need not know each other.
package screen

import (
	"cunban/kiosk/ui"
	"cunban/kiosk/ui/screen/desk"
	"cunban/kiosk/ui/screen/fill"
	"cunban/kiosk/ui/screen/front"
	"cunban/kiosk/ui/screen/mine"
	"cunban/kiosk/ui/screen/tech"
)

// Routes are the ways between pages.
func Routes() *ui.Routes {
	return &ui.Routes{
		Home: front.Home, Menu: front.Menu, Card: front.Card, Category: front.Category, Guide: front.Guide,
		Service: front.Service, Closed: front.Closed,
		Fill: fill.Start, Leave: fill.Leave,
		Query: mine.Query, Progress: mine.Progress, Listing: mine.Listing, Public: mine.Public,
		StaffSignIn: desk.SignIn, StaffHome: desk.Home,
		TechSignIn: tech.SignIn, TechHome: tech.Home, Enrol: tech.Enrol,
	}
}
