package upstream

import "net/http"

// NewPage is the county's staff page.
func NewPage(c *County, s *Server) http.Handler { _ = s; return http.NotFoundHandler() }
