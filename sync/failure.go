package sync

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"cunban/sync/wire"
)

// FailureKind is the closed set of ways in which a request fails. It answers
// one question: does this predict that the next request fails too?
type FailureKind string

// Failure kinds.
const (
	FailTransport   FailureKind = "transport"   // no way through: all fail
	FailPortal      FailureKind = "portal"      // a login page or proxy answered: all fail until somebody logs in
	FailCertificate FailureKind = "certificate" // who answered is not the county: all fail
	FailSignIn      FailureKind = "sign-in"     // the county does not take this terminal: all fail until a person acts
	FailRate        FailureKind = "rate"        // all fail for a while
	FailServer      FailureKind = "server"      // the county is in trouble: the next may fail
	FailItem        FailureKind = "item"        // this request only; never as it is
	FailAgain       FailureKind = "again"       // this request only; a repeat may succeed
)

// FailureKinds lists the closed set.
var FailureKinds = []FailureKind{
	FailTransport, FailPortal, FailCertificate, FailSignIn, FailRate, FailServer, FailItem, FailAgain,
}

// Failure is why something did not succeed. Text is for people: plain Chinese,
// what is the matter and what to do. Detail is for technicians.
type Failure struct {
	Kind       FailureKind
	Text       string
	Detail     string
	RetryAfter time.Duration // what the upstream asked to wait; 0 = nothing
	Problem    *wire.Problem // what the upstream said, nil when it was not it
	Err        error         // cause, may be nil
}

// Error implements error; the text is for logs.
func (f *Failure) Error() string { return string(f.Kind) + ": " + f.Detail }

// Unwrap gives the cause.
func (f *Failure) Unwrap() error { return f.Err }

// code is the upstream's code, "" when it was not the upstream.
func (f *Failure) code() wire.Code {
	if f.Problem == nil {
		return ""
	}
	return f.Problem.Code
}

// global reports whether the failure is about the line or the county and not
// about what was sent.
func (f *Failure) global() bool {
	switch f.Kind {
	case FailTransport, FailPortal, FailCertificate, FailSignIn, FailRate, FailServer:
		return true
	case FailItem, FailAgain:
		return false
	}
	return true
}

// Words for failures that the upstream did not word.
const (
	textTransport = "网络不通，办件已保存在本机，网络恢复后自动上传"
	textGateway   = "县里的服务器暂时不能用，办件已保存在本机，稍后自动上传"
	textStrange   = "县里的回答对不上这一件，系统会自动再试"
	textSlow      = "县里请稍后再发，办件已保存在本机，到时自动上传"
)

// answer is what came back, whoever sent it.
type answer struct {
	status int
	header http.Header
	body   []byte
	took   time.Duration
}

// media is the media type of the answer without parameters.
func (a *answer) media() string {
	m, _, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return m
}

// ours reports whether the answer claims to be the upstream's: it carries the
// contract's version with our major number, and it is not a web page.
func (a *answer) ours() bool {
	major, _, _ := strings.Cut(wire.Version, ".")
	got, _, _ := strings.Cut(a.header.Get(wire.HeaderContract), ".")
	return got == major && a.media() != "text/html"
}

// tus reports whether the answer is one of a tus server.
func (a *answer) tus() bool {
	return a.header.Get(wire.HeaderTusResumable) == wire.TusVersion && a.media() != "text/html"
}

// decode reads the JSON of an answer. A failure to do so is the server's.
func (a *answer) decode(v any) *Failure {
	if err := json.Unmarshal(a.body, v); err != nil {
		return strange("answer %d is not the contract's JSON: %v", a.status, err)
	}
	return nil
}

// check says what is wrong with an answer, nil when it is a success of the
// upstream: status 2xx and the contract's header.
func (a *answer) check(now time.Time) *Failure { return a.checkAs(now, a.ours()) }

// checkAs is check for answers that prove their origin in another way.
func (a *answer) checkAs(now time.Time, ours bool) *Failure {
	wait := retryAfter(a.header.Get("Retry-After"), now)
	if !ours {
		return a.stranger(wait)
	}
	if a.status >= 200 && a.status < 300 {
		return nil
	}
	if a.status < 400 {
		return &Failure{Kind: FailPortal, Text: lineTexts[LinePortal], Detail: fmt.Sprintf("answer %d with a redirect", a.status)}
	}
	p := &wire.Problem{}
	if json.Unmarshal(a.body, p) != nil || p.Code == "" {
		p = &wire.Problem{Status: a.status, Title: "县里没有接收", Cause: "answer without problem details"}
	}
	p.Status = a.status
	if wait == 0 && p.RetryIn > 0 {
		wait = min(time.Duration(p.RetryIn)*time.Second, maxRetryWait)
	}
	f := &Failure{Kind: kindOf(p.Class()), Text: problemText(p), Detail: p.Error(), RetryAfter: wait, Problem: p}
	if f.Kind == FailServer && p.Title == "" {
		f.Text = textGateway
	}
	return f
}

// stranger judges an answer that is not the upstream's.
func (a *answer) stranger(wait time.Duration) *Failure {
	what := fmt.Sprintf("answer %d %q without %s", a.status, a.media(), wire.HeaderContract)
	switch {
	case a.status >= 300 && a.status < 400:
		return &Failure{Kind: FailPortal, Text: lineTexts[LinePortal], Detail: what + ", redirect to " + clip(a.header.Get("Location"))}
	case a.status == http.StatusNetworkAuthenticationRequired, a.status == http.StatusProxyAuthRequired, a.status < 300:
		return &Failure{Kind: FailPortal, Text: lineTexts[LinePortal], Detail: what}
	case a.status == http.StatusTooManyRequests:
		return &Failure{Kind: FailRate, Text: textSlow, Detail: what, RetryAfter: wait}
	}
	// A gateway in front of the upstream: all requests meet it.
	return &Failure{Kind: FailServer, Text: textGateway, Detail: what, RetryAfter: wait}
}

func kindOf(c wire.Class) FailureKind {
	switch c {
	case wire.ClassItem:
		return FailItem
	case wire.ClassAgain:
		return FailAgain
	case wire.ClassSignIn:
		return FailSignIn
	case wire.ClassRate:
		return FailRate
	case wire.ClassServer:
		return FailServer
	}
	return FailServer
}

// problemText puts what the upstream says, and which fields it means, into
// plain words.
func problemText(p *wire.Problem) string {
	t := p.Text()
	for i, e := range p.Errors {
		if i == 3 {
			t += "……"
			break
		}
		if i == 0 && t != "" && !strings.HasSuffix(t, "。") {
			t += "。"
		}
		t += e.Reason
		if !strings.HasSuffix(e.Reason, "。") {
			t += "。"
		}
	}
	return t
}

// retryAfter reads a Retry-After header (RFC 9110, 10.2.3): seconds or a date.
// At most maxRetryWait; 0 when there is none.
func retryAfter(s string, now time.Time) time.Duration {
	if s == "" {
		return 0
	}
	if n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64); err == nil {
		if n > int64(maxRetryWait/time.Second) {
			return maxRetryWait
		}
		return time.Duration(max(n, 0)) * time.Second
	}
	if t, err := http.ParseTime(s); err == nil {
		return min(max(t.Sub(now), 0), maxRetryWait)
	}
	return 0
}

// transportFailure judges a request that got no answer.
func transportFailure(err error) *Failure {
	f := &Failure{Kind: FailTransport, Text: textTransport, Detail: err.Error(), Err: err}
	var (
		verify   *tls.CertificateVerificationError
		unknown  x509.UnknownAuthorityError
		host     x509.HostnameError
		invalid  x509.CertificateInvalidError
		record   tls.RecordHeaderError
		op       *net.OpError
		sentence = err.Error()
	)
	switch {
	case errors.As(err, &verify), errors.As(err, &unknown), errors.As(err, &host), errors.As(err, &invalid),
		errors.Is(err, errCertificate):
		f.Kind, f.Text = FailCertificate, lineTexts[LineCertificate]
	case errors.As(err, &op) && op.Op == "remote error" && isCertificateAlert(op.Err):
		f.Kind, f.Text = FailSignIn, lineTexts[LineSignIn]
	case errors.As(err, &record), strings.Contains(sentence, "server gave HTTP response to HTTPS client"):
		// Somebody speaks plain HTTP where the county speaks TLS.
		f.Kind, f.Text = FailPortal, lineTexts[LinePortal]
	}
	return f
}

// isCertificateAlert reports whether a TLS alert is about our certificate: the
// alert's type is not exported by crypto/tls, its words are.
func isCertificateAlert(err error) bool {
	if err == nil {
		return false
	}
	s := err.Error()
	return strings.Contains(s, "certificate") || strings.Contains(s, "access denied")
}

// clip shortens what a stranger wrote.
func clip(s string) string {
	const most = 120
	if len(s) > most {
		return strconv.QuoteToASCII(s[:most]) + "…"
	}
	return strconv.QuoteToASCII(s)
}
