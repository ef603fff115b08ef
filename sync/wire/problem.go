package wire

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Code is the closed set of things that can go wrong, stable for ever.
type Code string

// The codes, with their HTTP status in the table below.
const (
	CodeMalformed      Code = "malformed"           // not JSON, unknown shape, breaks the contract
	CodeVersion        Code = "version"             // contract version not spoken here
	CodeNotEnrolled    Code = "not-enrolled"        // no or unknown client certificate
	CodeCodeWrong      Code = "code-wrong"          // enrolment: no such one-time code for this serial
	CodeCodeExpired    Code = "code-expired"        // enrolment: older than 24 h
	CodeCodeUsed       Code = "code-used"           // enrolment: used with another key already
	CodeRefused        Code = "enrolment-refused"   // enrolment: a person said no
	CodeBadCSR         Code = "bad-csr"             // enrolment: request not usable
	CodeWrongTerminal  Code = "wrong-terminal"      // the certificate is another terminal's
	CodeRevoked        Code = "revoked"             // the county switched this terminal off
	CodeNotFound       Code = "not-found"           // no such thing
	CodeDigestConflict Code = "digest-conflict"     // id and revision are there with other content
	CodeRevisionOrder  Code = "revision-order"      // an earlier revision is missing or was not returned
	CodeTooLarge       Code = "too-large"           // beyond a limit of the contract
	CodeMediaType      Code = "media-type"          // wrong Content-Type
	CodeInvalid        Code = "invalid"             // this case cannot be accepted as it is
	CodeChecksum       Code = "checksum"            // chunk or file differs from its digest
	CodeUploadState    Code = "upload-state"        // offset or state of an upload does not fit
	CodeLogSmaller     Code = "log-smaller"         // checkpoint smaller than one seen before
	CodeLogForked      Code = "log-forked"          // checkpoint contradicts one seen before
	CodeLogSignature   Code = "log-signature"       // checkpoint not signed by this terminal
	CodeQueryKind      Code = "query-kind"          // no such kind of query
	CodeQuerySource    Code = "query-source"        // the system behind does not answer now
	CodeRateLimited    Code = "rate-limited"        // slow down, see Retry-After
	CodeServer         Code = "server"              // fault inside the upstream
	CodeUnavailable    Code = "service-unavailable" // starting, stopping, maintenance
)

// Class answers the one question a client has to ask about a failure: does it
// predict that the next request fails too?
type Class string

// Classes of failure.
const (
	ClassItem   Class = "item"    // only this request is at fault; do not repeat it as it is
	ClassAgain  Class = "again"   // only this request; a repeat may succeed
	ClassSignIn Class = "sign-in" // every request fails until a person acts
	ClassRate   Class = "rate"    // every request fails for a while
	ClassServer Class = "server"  // the upstream is in trouble
)

type codeInfo struct {
	status int
	class  Class
	title  string // plain Chinese for staff
	detail string // what to do
}

var codes = map[Code]codeInfo{
	CodeMalformed:      {http.StatusBadRequest, ClassItem, "县里看不懂这次发送的内容", "请联系县里技术人员，办件仍在本机"},
	CodeVersion:        {http.StatusBadRequest, ClassSignIn, "终端程序版本与县里不一致", "请联系县里升级终端程序，办件仍在本机"},
	CodeNotEnrolled:    {http.StatusUnauthorized, ClassSignIn, "县里不认识本终端", "请技术人员重新登记本终端，办件仍在本机"},
	CodeCodeWrong:      {http.StatusUnauthorized, ClassItem, "登记码不对", "请对照县里给的登记码重新输入；登记码只能用于指定的终端"},
	CodeCodeExpired:    {http.StatusUnauthorized, ClassItem, "登记码已过期", "登记码24小时内有效，请向县里要一个新的登记码"},
	CodeCodeUsed:       {http.StatusUnauthorized, ClassItem, "登记码已被用过", "一个登记码只能用一次，请向县里要一个新的登记码"},
	CodeRefused:        {http.StatusForbidden, ClassItem, "县里没有同意本终端登记", "请联系县里问明原因"},
	CodeBadCSR:         {http.StatusBadRequest, ClassItem, "登记申请有问题", "请联系县里技术人员"},
	CodeWrongTerminal:  {http.StatusForbidden, ClassSignIn, "证书不是本终端的", "请技术人员重新登记本终端，办件仍在本机"},
	CodeRevoked:        {http.StatusForbidden, ClassSignIn, "本终端已被县里停用", "请联系县里；没有上传的办件都在本机，不会丢失"},
	CodeNotFound:       {http.StatusNotFound, ClassAgain, "县里没有找到", "系统会自动再试；一直不行请联系县里"},
	CodeDigestConflict: {http.StatusConflict, ClassItem, "县里已有同号但内容不同的办件", "请帮办员联系县里核对这一件"},
	CodeRevisionOrder:  {http.StatusConflict, ClassItem, "县里没有要求补正这一件", "请帮办员联系县里核对这一件"},
	CodeTooLarge:       {http.StatusRequestEntityTooLarge, ClassItem, "内容太大，县里不收", "请减少扫描页数或重新扫描"},
	CodeMediaType:      {http.StatusUnsupportedMediaType, ClassItem, "内容格式不对", "请联系县里技术人员"},
	CodeInvalid:        {http.StatusUnprocessableEntity, ClassItem, "这一件县里不能受理", "请帮办员查看原因，改好后再发送"},
	CodeChecksum:       {StatusChecksumMismatch, ClassAgain, "传输中内容出错", "系统会自动重传"},
	CodeUploadState:    {http.StatusConflict, ClassAgain, "上传进度不一致", "系统会自动接着传"},
	CodeLogSmaller:     {http.StatusConflict, ClassItem, "操作日志比县里记录的少", "请联系县里：日志可能被删减过"},
	CodeLogForked:      {http.StatusConflict, ClassItem, "操作日志与县里记录的不一致", "请联系县里：日志可能被改动过"},
	CodeLogSignature:   {http.StatusUnprocessableEntity, ClassItem, "操作日志的签名不对", "请联系县里"},
	CodeQueryKind:      {http.StatusUnprocessableEntity, ClassItem, "县里不支持这种查询", "请到乡镇或县里窗口办理"},
	CodeQuerySource:    {http.StatusServiceUnavailable, ClassAgain, "查询的系统暂时连不上", "请过一会儿再查，或先办别的事"},
	CodeRateLimited:    {http.StatusTooManyRequests, ClassRate, "县里系统正忙", "系统会自动再传，不用重复操作"},
	CodeServer:         {http.StatusInternalServerError, ClassServer, "县里系统出错", "系统会自动再传，不用重复操作"},
	CodeUnavailable:    {http.StatusServiceUnavailable, ClassServer, "县里系统暂停服务", "系统会自动再传，不用重复操作"},
}

// Codes lists the closed set.
var Codes = []Code{
	CodeMalformed, CodeVersion, CodeNotEnrolled, CodeCodeWrong, CodeCodeExpired, CodeCodeUsed,
	CodeRefused, CodeBadCSR, CodeWrongTerminal, CodeRevoked, CodeNotFound, CodeDigestConflict,
	CodeRevisionOrder, CodeTooLarge, CodeMediaType, CodeInvalid, CodeChecksum, CodeUploadState,
	CodeLogSmaller, CodeLogForked, CodeLogSignature, CodeQueryKind, CodeQuerySource,
	CodeRateLimited, CodeServer, CodeUnavailable,
}

const problemBase = "urn:cunban:problem:"

// Problem is an error answer by RFC 9457, media type TypeProblem. Title and
// Detail are plain Chinese for staff and never name a person.
type Problem struct {
	Type     string       `json:"type"` // urn:cunban:problem:<code>
	Title    string       `json:"title"`
	Status   int          `json:"status"`
	Detail   string       `json:"detail,omitempty"`
	Instance string       `json:"instance,omitempty"` // request id in the upstream's log
	Code     Code         `json:"code"`
	Cause    string       `json:"cause,omitempty"`    // technical, English allowed, technicians only
	Digest   string       `json:"digest,omitempty"`   // digest-conflict: what is stored
	Size     int64        `json:"size,omitempty"`     // log-smaller: size seen before
	Errors   []FieldError `json:"errors,omitempty"`   // invalid: what is wrong with which field
	RetryIn  int          `json:"retry_in,omitempty"` // seconds, same as Retry-After
}

// FieldError is one field that keeps a case from being accepted.
type FieldError struct {
	Field  string `json:"field"`
	Reason string `json:"reason"` // plain Chinese
}

// NewProblem makes the problem for a code; cause is technical and may be empty.
func NewProblem(c Code, cause string) *Problem {
	i, ok := codes[c]
	if !ok {
		c, i = CodeServer, codes[CodeServer]
	}
	return &Problem{Type: problemBase + string(c), Code: c, Status: i.status, Title: i.title, Detail: i.detail, Cause: cause}
}

// WithDetail returns a copy with another plain sentence.
func (p Problem) WithDetail(text string) *Problem { p.Detail = text; return &p }

// WithRetry returns a copy that asks to wait, rounded up to seconds.
func (p Problem) WithRetry(d time.Duration) *Problem {
	p.RetryIn = int((d + time.Second - 1) / time.Second)
	return &p
}

// Error implements error; the text is for logs.
func (p *Problem) Error() string {
	s := fmt.Sprintf("upstream says %d %s", p.Status, p.Code)
	if p.Cause != "" {
		s += ": " + p.Cause
	}
	return s
}

// Class tells what the failure predicts. An unknown code (a newer upstream) is
// judged by its status.
func (p *Problem) Class() Class {
	if i, ok := codes[p.Code]; ok {
		return i.class
	}
	switch {
	case p.Status == http.StatusTooManyRequests:
		return ClassRate
	case p.Status == http.StatusUnauthorized || p.Status == http.StatusForbidden:
		return ClassSignIn
	case p.Status >= 500:
		return ClassServer
	case p.Status == http.StatusNotFound || p.Status == http.StatusRequestTimeout || p.Status == StatusChecksumMismatch:
		return ClassAgain
	}
	return ClassItem
}

// Text is the problem for staff: what and what to do.
func (p *Problem) Text() string {
	if p.Detail == "" {
		return p.Title
	}
	return p.Title + "。" + p.Detail
}

// Write sends the problem as an HTTP answer.
func (p *Problem) Write(w http.ResponseWriter) {
	b, _ := json.Marshal(p) // strings and numbers only: cannot fail
	h := w.Header()
	h.Set("Content-Type", TypeProblem)
	h.Set("Cache-Control", "no-store")
	h.Set(HeaderContract, Version)
	if p.RetryIn > 0 {
		h.Set("Retry-After", strconv.Itoa(p.RetryIn))
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(b) // the peer is gone or not; nobody else to tell
}

// WriteJSON sends an answer of the contract.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		NewProblem(CodeServer, err.Error()).Write(w)
		return
	}
	h := w.Header()
	h.Set("Content-Type", TypeJSON)
	h.Set("Cache-Control", "no-store")
	h.Set(HeaderContract, Version)
	w.WriteHeader(status)
	_, _ = w.Write(b)
}
