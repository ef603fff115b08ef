package upstream

import (
	"bytes"
	"crypto/subtle"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"slices"
	gosync "sync"
	"time"

	"cunban/sync/wire"
)

//go:embed pages
var pageFiles embed.FS

// Sessions of the staff page.
const (
	sessionIdle   = 30 * time.Minute
	sessionCookie = "cunban_county"
	maxSessions   = 1000
	maxForm       = 256 << 10 // bytes of a form
)

// Page is the county's staff page: plain HTML that works in any browser, no
// scripts. Sessions live in memory; who opens or decides what is written to the
// audit.
type Page struct {
	c        *County
	s        *Server // nil when no terminals are served by this process
	mux      *http.ServeMux
	tmpl     map[string]*template.Template
	mu       gosync.Mutex
	sessions map[string]*session
}

type session struct {
	number, token string
	last          time.Time
}

// NewPage makes the staff page. s tells when terminals were heard last and may
// be nil.
func NewPage(c *County, s *Server) *Page {
	p := &Page{c: c, s: s, mux: http.NewServeMux(), tmpl: map[string]*template.Template{}, sessions: map[string]*session{}}
	funcs := template.FuncMap{
		"when":  func(t time.Time) string { return stamp(t, "2006-01-02 15:04") },
		"state": CaseState.Name,
		"claim": claimName,
		"mode":  modeName,
		"days":  daysLeft,
		"late":  func(n *int) bool { return n != nil && *n < 0 },
	}
	for _, name := range []string{"login", "cases", "case", "terminals", "enrol", "staff", "notices", "accounts", "audit", "message"} {
		// The files are built in: one that does not parse is a broken build,
		// which the tests of every page notice.
		p.tmpl[name] = template.Must(template.New("layout.html").Funcs(funcs).ParseFS(pageFiles, "pages/layout.html", "pages/"+name+".html"))
	}
	p.routes()
	return p
}

func stamp(t time.Time, layout string) string {
	if t.IsZero() {
		return "—"
	}
	return t.In(zone).Format(layout)
}

func claimName(r wire.VerifyResult) string {
	switch r {
	case wire.VerifyMatch:
		return "与登记一致"
	case wire.VerifyMismatch:
		return "与登记不一致，请核对"
	case wire.VerifyUnknown:
		return "没有登记信息，请核对"
	case wire.VerifyCardLost:
		return "卡已挂失，请核对"
	case wire.VerifyCardVoid:
		return "卡已作废，请核对"
	case "":
		return "未核对"
	}
	return string(r)
}

func modeName(m string) string {
	switch m {
	case "self":
		return "自助"
	case "assisted":
		return "帮办"
	case "agent":
		return "代办"
	case "visit":
		return "上门"
	}
	return m
}

func daysLeft(n *int) string {
	switch {
	case n == nil:
		return ""
	case *n < 0:
		return fmt.Sprintf("已超期 %d 个工作日", -*n)
	case *n == 0:
		return "今天到期"
	}
	return fmt.Sprintf("还剩 %d 个工作日", *n)
}

// view is what every page gets.
type view struct {
	Title string
	User  Admin
	Token string
	Data  any
	Flash string
	Can   map[string]bool
	Bare  bool // no navigation
}

// ServeHTTP implements http.Handler.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	p.mux.ServeHTTP(w, r)
}

// alwaysOpen is what an account may do before it has a password of its own.
var alwaysOpen = []string{"/accounts", "/password", "/logout"}

// handler is a page for somebody who is signed in.
type handler func(w http.ResponseWriter, r *http.Request, v *view) error

// route asks for a role ("" = any) and, for POST, for the form's token.
func (p *Page) route(pattern, role string, h handler) {
	p.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		user, token, ok := p.signedIn(r)
		if !ok {
			http.Redirect(w, r, "/login", http.StatusSeeOther)
			return
		}
		v := &view{User: user, Token: token, Can: map[string]bool{}}
		for _, role := range user.Roles {
			v.Can[role] = true
		}
		if user.MustChange && !slices.Contains(alwaysOpen, r.URL.Path) {
			http.Redirect(w, r, "/accounts", http.StatusSeeOther)
			return
		}
		if role != "" && !v.Can[role] {
			p.message(w, v, http.StatusForbidden, "您的账号没有这项权限")
			return
		}
		if r.Method == http.MethodPost {
			r.Body = http.MaxBytesReader(w, r.Body, maxForm)
			if err := r.ParseForm(); err != nil || subtle.ConstantTimeCompare([]byte(r.PostForm.Get("token")), []byte(token)) != 1 {
				p.message(w, v, http.StatusForbidden, "页面已过期，请返回重新打开再提交")
				return
			}
		}
		if err := h(w, r, v); err != nil {
			p.failed(w, v, err)
		}
	})
}

// failed shows an error: what the person can mend in its own words, everything
// else as trouble that went to the log.
func (p *Page) failed(w http.ResponseWriter, v *view, err error) {
	for _, e := range []struct {
		is     error
		status int
		text   string
	}{
		{ErrNotFound, http.StatusNotFound, "没有找到"},
		{ErrIllegal, http.StatusConflict, "这一件的状态已经变了，请刷新再看"},
		{ErrNoReason, http.StatusBadRequest, "请写明原因，让办事人看得懂"},
		{ErrNotWaiting, http.StatusConflict, "这个登记申请已经处理过了"},
		{ErrPassword, http.StatusForbidden, "密码不对"},
	} {
		if errors.Is(err, e.is) {
			p.message(w, v, e.status, e.text)
			return
		}
	}
	if errors.Is(err, ErrAccount) || errors.Is(err, ErrBadTerminal) || errors.Is(err, errForm) {
		p.message(w, v, http.StatusBadRequest, err.Error())
		return
	}
	p.c.log.Error("staff page", "err", err)
	p.message(w, v, http.StatusInternalServerError, "系统出错，请稍后再试；一直不行请联系技术人员")
}

var errForm = errors.New("填写有误")

func (p *Page) render(w http.ResponseWriter, status int, name string, v *view) {
	var b bytes.Buffer
	if err := p.tmpl[name].Execute(&b, v); err != nil {
		p.c.log.Error("staff page", "template", name, "err", err)
		http.Error(w, "页面出错", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the browser is gone or not
}

func (p *Page) message(w http.ResponseWriter, v *view, status int, text string) {
	v.Title, v.Data = "提示", text
	p.render(w, status, "message", v)
}

// signedIn finds the session of a request. The account is read again each
// time, so that a suspended one is out at once.
func (p *Page) signedIn(r *http.Request) (Admin, string, bool) {
	k, err := r.Cookie(sessionCookie)
	if err != nil {
		return Admin{}, "", false
	}
	now := p.c.now()
	p.mu.Lock()
	s, ok := p.sessions[k.Value]
	if ok && now.Sub(s.last) > sessionIdle {
		delete(p.sessions, k.Value)
		ok = false
	}
	var number, token string
	if ok {
		s.last = now
		number, token = s.number, s.token
	}
	p.mu.Unlock()
	if !ok {
		return Admin{}, "", false
	}
	a, err := p.c.Account(r.Context(), number)
	if err != nil || a.Suspended {
		return Admin{}, "", false
	}
	return a, token, true
}

func (p *Page) begin(w http.ResponseWriter, number string) error {
	var b [48]byte
	if _, err := io.ReadFull(p.c.o.Rand, b[:]); err != nil {
		return fmt.Errorf("begin a session: %w", err)
	}
	id := hex.EncodeToString(b[:32])
	now := p.c.now()
	p.mu.Lock()
	for k, s := range p.sessions {
		if now.Sub(s.last) > sessionIdle {
			delete(p.sessions, k)
		}
	}
	full := len(p.sessions) >= maxSessions
	if !full {
		p.sessions[id] = &session{number: number, token: hex.EncodeToString(b[32:]), last: now}
	}
	p.mu.Unlock()
	if full {
		return errors.New("too many sessions")
	}
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Value: id, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode})
	return nil
}

func (p *Page) routes() {
	p.mux.HandleFunc("GET /style.css", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFileFS(w, r, pageFiles, "pages/style.css")
	})
	p.mux.HandleFunc("GET /login", func(w http.ResponseWriter, r *http.Request) {
		p.render(w, http.StatusOK, "login", &view{Title: "登录", Bare: true})
	})
	p.mux.HandleFunc("POST /login", p.login)
	p.route("POST /logout", "", p.logout)
	p.route("GET /{$}", "", func(w http.ResponseWriter, r *http.Request, v *view) error {
		to := "/terminals"
		if v.Can[RoleReview] {
			to = "/cases"
		}
		http.Redirect(w, r, to, http.StatusSeeOther)
		return nil
	})
	p.route("GET /cases", RoleReview, p.cases)
	p.route("GET /cases/{id}", RoleReview, p.caseOne)
	p.route("POST /cases/{id}", RoleReview, p.caseDecide)
	p.route("GET /cases/{id}/files/{revision}/{name}", RoleReview, p.caseFile)
	p.route("GET /cases/{id}/signature", RoleReview, p.caseSignature)
	p.route("GET /terminals", "", p.terminals)
	p.route("POST /terminals/{id}", RoleAccounts, p.terminalAct)
	p.route("GET /enrol", RoleAccounts, p.enrol)
	p.route("POST /enrol", RoleAccounts, p.enrolAct)
	p.route("GET /staff", RoleAccounts, p.staff)
	p.route("POST /staff", RoleAccounts, p.staffAct)
	p.route("GET /notices", RoleAccounts, p.notices)
	p.route("POST /notices", RoleAccounts, p.noticesAct)
	p.route("GET /accounts", "", p.accounts)
	p.route("POST /accounts", RoleAccounts, p.accountsAct)
	p.route("POST /password", "", p.password)
	p.route("GET /audit", RoleAudit, func(w http.ResponseWriter, r *http.Request, v *view) error {
		list, err := p.c.AuditTrail(r.Context(), 500)
		if err != nil {
			return err
		}
		v.Title, v.Data = "操作记录", list
		p.render(w, http.StatusOK, "audit", v)
		return nil
	})
}

func (p *Page) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	v := &view{Title: "登录", Bare: true}
	if err := r.ParseForm(); err != nil {
		p.message(w, v, http.StatusBadRequest, "提交的内容有误")
		return
	}
	a, err := p.c.SignIn(r.Context(), r.PostForm.Get("number"), r.PostForm.Get("password"))
	if err == nil {
		err = p.begin(w, a.Number)
	}
	switch {
	case err == nil:
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	case errors.Is(err, ErrShut):
		v.Flash = "输错次数太多，请半小时后再试"
	case errors.Is(err, ErrPassword):
		v.Flash = "工号或密码不对"
	default:
		p.failed(w, v, err)
		return
	}
	p.render(w, http.StatusForbidden, "login", v)
}

func (p *Page) logout(w http.ResponseWriter, r *http.Request, _ *view) error {
	if k, err := r.Cookie(sessionCookie); err == nil {
		p.mu.Lock()
		delete(p.sessions, k.Value)
		p.mu.Unlock()
	}
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	http.Redirect(w, r, "/login", http.StatusSeeOther)
	return nil
}

// back goes to a page after a form was done.
func back(w http.ResponseWriter, r *http.Request, to string) error {
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

// picked returns the values of a form that are in a closed set.
func picked(values, allowed []string) []string {
	var out []string
	for _, v := range values {
		if slices.Contains(allowed, v) && !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}
