package upstream

import (
	"crypto/x509"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"cunban/sync/wire"
)

// EST (RFC 7030) as far as terminals need it.

func (s *Server) cacerts(w http.ResponseWriter, r *http.Request) { s.certs(w, r, s.c.o.Keys.CA) }

func (s *Server) certs(w http.ResponseWriter, r *http.Request, list ...*x509.Certificate) {
	b, err := wire.EncodeCertsOnly(list...)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", wire.TypeCertsOnly)
	h.Set("Content-Transfer-Encoding", "base64")
	_, _ = w.Write(b) // the peer is gone or not
}

// csr reads the base64 body of an enrolment.
func (s *Server) csr(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	if ct, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); strings.TrimSpace(ct) != wire.TypePKCS10 {
		s.fail(w, r, wire.NewProblem(wire.CodeMediaType, ct))
		return nil, false
	}
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, wire.MaxEnrolBytes))
	if err != nil {
		s.failRead(w, r, err)
		return nil, false
	}
	der, err := wire.DecodeBase64Lines(b)
	if err != nil {
		s.fail(w, r, wire.NewProblem(wire.CodeBadCSR, err.Error()))
		return nil, false
	}
	return der, true
}

func (s *Server) enroll(w http.ResponseWriter, r *http.Request) {
	serial, secret, ok := r.BasicAuth()
	if !ok {
		w.Header().Set("WWW-Authenticate", `Basic realm="cunban enrolment"`)
		s.fail(w, r, wire.NewProblem(wire.CodeCodeWrong, "no code given"))
		return
	}
	der, ok := s.csr(w, r)
	if !ok {
		return
	}
	cert, err := s.c.Enrol(r.Context(), serial, secret, der)
	switch {
	case err != nil:
		s.fail(w, r, err)
	case cert == nil:
		secs := int(enrolPoll / time.Second)
		w.Header().Set("Retry-After", strconv.Itoa(secs))
		wire.WriteJSON(w, http.StatusAccepted, wire.EnrolPending{Approval: wire.ApprovalWaiting, RetryIn: secs,
			Text: "登记申请已送到县里，等县里工作人员同意"})
	default:
		s.certs(w, r, cert)
	}
}

func (s *Server) reenroll(w http.ResponseWriter, r *http.Request) {
	der, ok := s.csr(w, r)
	if !ok {
		return
	}
	cert, err := s.c.Renew(r.Context(), terminalOf(r.Context()), der)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.certs(w, r, cert)
}
