package upstream_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"cunban/sync/upstream"
	"cunban/sync/wire"
)

// browser is a person at the staff page.
type browser struct {
	c    *county
	t    testing.TB
	http *http.Client
}

func (c *county) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		c.t.Fatal(err)
	}
	return &browser{c: c, t: c.t, http: &http.Client{Jar: jar}}
}

func (b *browser) get(path string) (int, string) {
	b.t.Helper()
	res, err := b.http.Get("http://" + b.c.admin + path)
	return b.read(res, err)
}

func (b *browser) read(res *http.Response, err error) (int, string) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	if csp := res.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") {
		b.t.Errorf("%s: policy %q", res.Request.URL, csp)
	}
	if strings.Contains(string(body), "<script") {
		b.t.Errorf("%s has a script", res.Request.URL)
	}
	return res.StatusCode, string(body)
}

var token = regexp.MustCompile(`name="token" value="([0-9a-f]+)"`)

// post fills a form of a page and follows.
func (b *browser) post(page, action string, kv ...string) (int, string) {
	b.t.Helper()
	_, html := b.get(page)
	v := url.Values{}
	if m := token.FindStringSubmatch(html); m != nil {
		v.Set("token", m[1])
	}
	for i := 0; i < len(kv); i += 2 {
		v.Add(kv[i], kv[i+1])
	}
	res, err := b.http.PostForm("http://"+b.c.admin+action, v)
	return b.read(res, err)
}

func (b *browser) want(what string, status int, html string, wantStatus int, parts ...string) {
	b.t.Helper()
	if status != wantStatus {
		b.t.Errorf("%s: status %d, want %d\n%s", what, status, wantStatus, html)
	}
	for _, p := range parts {
		if !strings.Contains(html, p) {
			b.t.Errorf("%s: no %q on the page\n%s", what, p, html)
		}
	}
}

func TestStaffPage(t *testing.T) {
	c := startCounty(t, t.TempDir())
	number, password, err := c.Bootstrap(t.Context())
	if err != nil || password == "" {
		t.Fatal(err)
	}
	if _, again, err := c.Bootstrap(t.Context()); err != nil || again != "" {
		t.Errorf("a second first account: %q %v", again, err)
	}
	b := c.browser()
	status, html := b.get("/cases")
	b.want("not signed in", status, html, 200, "密码")
	status, html = b.post("/login", "/login", "number", number, "password", "wrong")
	b.want("wrong password", status, html, 403, "工号或密码不对")
	status, html = b.post("/login", "/login", "number", number, "password", password)
	b.want("signed in", status, html, 200, "办件", "县管理员")

	// A terminal: code, approval, health.
	status, html = b.post("/enrol", "/enrol", "do", "code", "serial", "SN-1", "region", region1, "village", "东关社区", "name", "东关服务点", "demo", "on")
	b.want("code", status, html, 200, "SN-1", "东关服务点")
	code := regexp.MustCompile(`[A-Z2-7]{4}(-[A-Z2-7]{4}){4}`).FindString(html)
	parsed, err := wire.ParseEnrolCode(code)
	if err != nil {
		t.Fatal(err)
	}
	key, plain := newKey(t), client(c, nil)
	if status, _ := c.simpleenroll(plain, "SN-1", parsed.Secret, csr(t, key, "SN-1")); status != http.StatusAccepted {
		t.Fatalf("enrol: %d", status)
	}
	_, html = b.get("/enrol")
	hash := regexp.MustCompile(`name="hash" value="([0-9a-f]+)"`).FindStringSubmatch(html)
	if hash == nil {
		t.Fatalf("nothing to approve\n%s", html)
	}
	b.post("/enrol", "/enrol", "do", "approve", "serial", "SN-1", "hash", hash[1])
	status, body := c.simpleenroll(plain, "SN-1", parsed.Secret, csr(t, key, "SN-1"))
	if status != http.StatusOK {
		t.Fatalf("approved on the page: %d %s", status, body)
	}
	certs, err := wire.ParseCertsOnly(body)
	if err != nil {
		t.Fatal(err)
	}
	x := c.terminal(certs[0], key)
	good := time.Date(2026, 11, 20, 1, 2, 3, 0, time.UTC)
	health := wire.Health{Terminal: x.id, At: time.Now(), Version: "9.9", Queue: wire.Queue{Total: 5, Attention: 2},
		Devices: []wire.Device{{Kind: "printer", State: "fault", Cause: "没纸了", Remedy: "请加纸"},
			{Kind: "scanner", State: "ready", LastGood: &good, Counters: map[string]int64{"pages": 41, "jams": 3, "select_failed": 9}}}}
	x.call("POST", wire.PathHealth(x.id), health, &wire.HealthReply{})
	status, html = b.get("/terminals")
	b.want("terminals", status, html, 200, x.id, "没纸了", "需处理 2", "9.9", "扫描仪：正常，上次成功", "拍、扫 41 页，卡纸 3 次")
	if strings.Contains(html, "select_failed") {
		t.Error("a technical counter is on the page")
	}

	// A case: seen, returned with a reason per field, mended, finished.
	scan := []byte("\xff\xd8\xff not really a picture")
	d := x.draft(withScan(scan))
	x.send(d, http.StatusCreated)
	tryUpload(x, d)
	number1 := x.send(d, http.StatusOK).Acceptance
	status, html = b.get("/cases")
	b.want("list", status, html, 200, number1, "城乡居民养老保险参保登记", "演示", "与登记一致")
	status, html = b.get("/cases/" + d.put.CaseID)
	b.want("case", status, html, 200, zhangName, zhangNumber, "选择缴费档次", "300 元", "退回补正")
	if _, html := b.get("/cases/" + d.put.CaseID + "/files/1/" + d.put.Files[0].Name); html != string(scan) {
		t.Error("the scan does not open")
	}
	status, html = b.post("/cases/"+d.put.CaseID, "/cases/"+d.put.CaseID, "to", "returned")
	b.want("return without a reason", status, html, 400, "请写明原因")
	status, html = b.post("/cases/"+d.put.CaseID, "/cases/"+d.put.CaseID, "to", "returned", "reason.hkb_scan", "看不清，请重拍")
	b.want("returned", status, html, 200, "退回补正", "看不清，请重拍", "户口簿首页和本人页")
	status, html = b.post("/cases/"+d.put.CaseID, "/cases/"+d.put.CaseID, "to", "finished")
	b.want("finish what is returned", status, html, 409)
	var page wire.Changes
	x.call("GET", wire.PathChanges(x.id, "", 0), nil, &page)
	if len(page.Changes) != 1 || !bytes.Contains(page.Changes[0].Data, []byte("hkb_scan")) {
		t.Errorf("the terminal hears %+v", page)
	}

	// Staff of terminals, notices.
	status, html = b.post("/staff", "/staff", "number", "1001", "name", "李秀英", "role", "clerk", "region", region1, "pin", "12")
	b.want("short PIN", status, html, 400, "6 位数字")
	status, html = b.post("/staff", "/staff", "number", "1001", "name", "李秀英", "role", "clerk", "region", region1, "pin", "246813", "status", "active")
	b.want("account", status, html, 200, "李秀英")
	if strings.Contains(html, "pbkdf2") || strings.Contains(html, "246813") {
		t.Error("the page shows a secret")
	}
	status, html = b.post("/staff", "/staff", "number", "1001", "name", "李秀英", "role", "clerk", "region", region1, "status", "suspended")
	b.want("suspended", status, html, 200, "停用")
	status, html = b.post("/notices", "/notices", "do", "put", "title", "停电通知", "text", "<b>周六停电</b>")
	b.want("notice", status, html, 200, "停电通知", "&lt;b&gt;周六停电")

	// County accounts: another person, own password first, only their pages.
	status, html = b.post("/accounts", "/accounts", "number", "2001", "name", "赵审核", "role", "review", "password", "Abc12345x")
	b.want("county account", status, html, 200, "赵审核")
	r := c.browser()
	status, html = r.post("/login", "/login", "number", "2001", "password", "Abc12345x")
	r.want("first sign-in", status, html, 200, "请先改密码")
	status, html = r.post("/accounts", "/password", "old", "Abc12345x", "new", "abc")
	r.want("weak password", status, html, 400, "至少 8 位")
	status, html = r.post("/accounts", "/password", "old", "Abc12345x", "new", "Xyz98765a")
	r.want("own password", status, html, 200, "密码已改")
	status, html = r.get("/cases")
	r.want("reviewer sees cases", status, html, 200, number1)
	status, html = r.get("/staff")
	r.want("reviewer manages no accounts", status, html, 403, "没有这项权限")

	// A form without its token does nothing.
	res, err := b.http.PostForm("http://"+c.admin+"/notices", url.Values{"do": {"put"}, "title": {"假"}, "text": {"假"}})
	status, html = b.read(res, err)
	b.want("forged form", status, html, 403, "页面已过期")

	status, html = b.get("/audit")
	b.want("audit", status, html, 200, "case.open", "case.returned", "enrol.approve", "staff.put")
	if strings.Contains(html, zhangName) || strings.Contains(html, zhangNumber) {
		t.Error("the audit names a person")
	}
	// Suspended: out at once.
	if err := c.PutAdmin(t.Context(), upstream.Admin{Number: "2001", Name: "赵审核", Roles: []string{"review"}, Suspended: true}, "", "test"); err != nil {
		t.Fatal(err)
	}
	if _, html := r.get("/cases"); !strings.Contains(html, "密码") || strings.Contains(html, number1) {
		t.Error("a suspended account still sees cases")
	}
	// Idle: signed out.
	c.clock.add(31 * time.Minute)
	if _, html := b.get("/cases"); strings.Contains(html, number1) {
		t.Error("an idle session still sees cases")
	}
	for range 6 {
		status, html = b.post("/login", "/login", "number", number, "password", "wrong")
	}
	b.want("guessing", status, html, 403, "半小时")
}

func TestPageListensOnTheLoopbackOnly(t *testing.T) {
	c := startCounty(t, t.TempDir())
	err := c.Run(t.Context(), upstream.RunOptions{Listen: "127.0.0.1:0", Admin: "0.0.0.0:0"})
	if err == nil || !strings.Contains(err.Error(), "loopback") {
		t.Errorf("open to the network: %v", err)
	}
}
