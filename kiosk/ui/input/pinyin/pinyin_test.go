//go:build cgo && linux

package pinyin

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

func open(t testing.TB) (*Engine, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "rime")
	e, err := Open(dir)
	if errors.Is(err, ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e, dir
}

func TestCandidates(t *testing.T) {
	e, _ := open(t)
	for _, c := range []struct {
		pinyin, want string
		within       int
	}{
		{"ruicheng", "芮城", 1}, {"rui'cheng", "芮城", 1}, {"zhang", "张", 10}, {"shanxi", "山西", 10},
		{"lv", "绿", 10}, {"nü", "女", 10}, {"zhongguo", "中国", 1},
		{"ZHONGGUO", "中国", 1}, {"xi'an", "西安", 10}, {"yanglao", "养老", 10},
		{"gonggongjiuyefuwu", "公共", 20}, {"cunmin", "村民", 10}, {"wang", "王", 10},
		{"qu", "去", 10}, {"yuncheng", "运城", 10}, {"zhuang", "庄", 20},
	} {
		list, _, err := e.List(c.pinyin, 0, c.within)
		if err != nil {
			t.Fatalf("%s: %v", c.pinyin, err)
		}
		if !slices.ContainsFunc(list, func(x Candidate) bool { return x.Text == c.want }) {
			t.Errorf("%s: %s is not among %v", c.pinyin, c.want, list)
		}
	}
}

func TestPages(t *testing.T) {
	e, _ := open(t)
	seen := map[string]int{}
	pages := 0
	for page := 0; ; page++ {
		list, more := e.Candidates("shi", page)
		for _, c := range list {
			seen[c]++
		}
		if more && len(list) != PageSize {
			t.Fatalf("page %d has %d candidates and says more", page, len(list))
		}
		pages++
		if !more {
			break
		}
	}
	if pages < 5 || len(seen) < 60 {
		t.Fatalf("only %d candidates on %d pages for shi", len(seen), pages)
	}
	for c, n := range seen {
		if n != 1 {
			t.Errorf("%s came %d times", c, n)
		}
	}
	if list, more := e.Candidates("shi", 10_000); len(list) != 0 || more {
		t.Errorf("page far behind the end: %v %v", list, more)
	}
}

// Typing letter by letter, deleting and jumping gives the same as asking for
// the whole text at once.
func TestIncremental(t *testing.T) {
	e, _ := open(t)
	e.Candidates("zhangguilan", 0)
	for _, s := range []string{"z", "zh", "zha", "zhan", "zhang", "zhan", "li", "liu", "w", "xi'an", "xian"} {
		got, _ := e.Candidates(s, 0)
		e.Clear()
		want, _ := e.Candidates(s, 0)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v after typing, %v afresh", s, got, want)
		}
	}
}

func TestRest(t *testing.T) {
	e, _ := open(t)
	for _, c := range []struct{ pinyin, choose, rest string }{
		{"zhongguo", "中国", ""}, {"zhongguo", "中", "guo"}, {"xi'an", "西", "an"},
		{"lvxing", "绿", "xing"}, {"zhangguilan", "张", "guilan"}, {"nvren", "女", "ren"},
	} {
		list, _, err := e.List(c.pinyin, 0, 200)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(list, func(x Candidate) bool { return x.Text == c.choose })
		if i < 0 {
			t.Errorf("%s: no %s", c.pinyin, c.choose)
			continue
		}
		rest, err := e.Rest(c.pinyin, list[i].Index)
		if err != nil || rest != c.rest {
			t.Errorf("%s after %s: rest %q (%v), want %q", c.pinyin, c.choose, rest, err, c.rest)
		}
	}
	if _, err := e.Rest("zhong", 100_000); !errors.Is(err, ErrInput) {
		t.Errorf("candidate that is not there: %v", err)
	}
}

// The county's words come first, once, and the pages behind them have neither
// a gap nor a double.
func TestPhrases(t *testing.T) {
	dir := t.TempDir()
	e, err := OpenWith(Options{UserDir: dir, Phrases: map[string][]string{"shi": {"甲一", "甲二", "甲三"}}})
	if errors.Is(err, ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	all, _, err := e.List("shi", 0, 50)
	if err != nil || len(all) != 50 || all[2].Text != "甲三" || all[3].Text != "是" {
		t.Fatalf("%v %v", all[:5], err)
	}
	for _, size := range []int{1, 2, 3, 4, 7, 10} {
		var got []Candidate
		for first := 0; first < 50; first += size {
			page, more, err := e.List("shi", first, size)
			if err != nil || !more || len(page) != size {
				t.Fatalf("size %d from %d: %v %v %v", size, first, page, more, err)
			}
			got = append(got, page...)
		}
		if !slices.Equal(got[:50], all) {
			t.Errorf("pages of %d: %v", size, got)
		}
	}
	if rest, err := e.Rest("shi", 1); rest != "" || err != nil {
		t.Errorf("own phrase leaves %q, %v", rest, err)
	}
	if rest, err := e.Rest("shi", 3); rest != "" || err != nil {
		t.Errorf("first of librime leaves %q, %v", rest, err)
	}
}

func TestBadInput(t *testing.T) {
	e, _ := open(t)
	for _, s := range []string{"a1", "张", "a b", "a\x00b", "`hs", "/fh", strings.Repeat("a", MaxInput+1), "a;b"} {
		if _, _, err := e.List(s, 0, 10); !errors.Is(err, ErrInput) {
			t.Errorf("%q: %v", s, err)
		}
		if l, more := e.Candidates(s, 0); len(l) != 0 || more {
			t.Errorf("%q gave candidates", s)
		}
	}
	for _, s := range []string{"", "'", "''"} {
		if l, more, err := e.List(s, 0, 10); len(l) != 0 || more || err != nil {
			t.Errorf("%q: %v %v %v", s, l, more, err)
		}
	}
	if l, _, err := e.List(strings.Repeat("zhuang", 10), 0, 5); err != nil || len(l) == 0 {
		t.Errorf("longest input: %v %v", l, err)
	}
	if l, _ := e.Candidates("zhang", -1); len(l) != 0 {
		t.Errorf("negative page gave %v", l)
	}
}

// What one person types must leave no trace for the next: same order of
// candidates, nothing on the disk.
func TestNothingRemembered(t *testing.T) {
	e, dir := open(t)
	before, _, _ := e.List("jiegang", 0, 60)
	shi, _, _ := e.List("shi", 0, 60)
	for range 30 {
		if _, err := e.Rest("shi", 40); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Rest("jiegang", len(before)-1); err != nil {
			t.Fatal(err)
		}
		e.Candidates("zhangguilan", 0)
	}
	if now, _, _ := e.List("shi", 0, 60); !slices.Equal(now, shi) {
		t.Error("the order of candidates changed by choosing")
	}
	e.Close()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if strings.Contains(d.Name(), "userdb") {
			t.Errorf("user history on disk: %s", path)
		}
		if d.IsDir() || strings.HasSuffix(path, ".bin") {
			return nil
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte("guilan")) {
			t.Errorf("typed text in %s", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// History that another program left in the folder is removed, and a patch
// that somebody changed is put right.
func TestPrepare(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "pinyin_simp.userdb"), 0o700); err != nil {
		t.Fatal(err)
	}
	patch := filepath.Join(dir, "pinyin_simp.custom.yaml")
	if err := os.WriteFile(patch, []byte("patch: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := prepare(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "pinyin_simp.userdb")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("history is still there")
	}
	if data, _ := os.ReadFile(patch); !strings.Contains(string(data), "enable_user_dict: false") {
		t.Error("learning is not switched off")
	}
	if prepare("") == nil {
		t.Error("no folder must be an error")
	}
}

func TestOneEngine(t *testing.T) {
	e, dir := open(t)
	if _, err := Open(t.TempDir()); !errors.Is(err, ErrInUse) {
		t.Errorf("second engine: %v", err)
	}
	want, _ := e.Candidates("zhang", 0)
	e.Close()
	e.Close()
	if _, _, err := e.List("zhang", 0, 1); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	e.Clear()
	again, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if got, _ := again.Candidates("zhang", 0); !slices.Equal(got, want) {
		t.Errorf("after opening again: %v, want %v", got, want)
	}
}

func TestUnavailable(t *testing.T) {
	if _, err := OpenWith(Options{UserDir: t.TempDir(), SharedDir: t.TempDir()}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("no data: %v", err)
	}
	// A schema without its dictionary is found out at Open, not by the person.
	shared := t.TempDir()
	if err := os.WriteFile(filepath.Join(shared, Schema+".schema.yaml"), []byte("schema: {schema_id: pinyin_simp}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if e, err := OpenWith(Options{UserDir: t.TempDir(), SharedDir: shared}); !errors.Is(err, ErrUnavailable) {
		if e != nil {
			e.Close()
		}
		t.Errorf("schema without dictionary: %v", err)
	}
	// and the failure does not block a later good start
	e, _ := open(t)
	if l, _ := e.Candidates("ni", 0); len(l) == 0 {
		t.Error("no candidates after a failed start")
	}
}

func TestConcurrent(t *testing.T) {
	e, _ := open(t)
	want := map[string][]string{}
	for _, s := range []string{"zhang", "wang", "li", "zhao"} {
		want[s], _ = e.Candidates(s, 0)
	}
	var wg sync.WaitGroup
	for s := range want {
		wg.Go(func() {
			for range 50 {
				if got, _ := e.Candidates(s, 0); !slices.Equal(got, want[s]) {
					t.Errorf("%s: %v", s, got)
					return
				}
			}
		})
	}
	wg.Wait()
}

func FuzzClean(f *testing.F) {
	for _, s := range []string{"zhang", "xi'an", "nü", "张", "'", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := clean(s)
		if err != nil {
			return
		}
		if again, err := clean(c); err != nil || again != c {
			t.Fatalf("clean(%q) = %q, cleaned again %q, %v", s, c, again, err)
		}
		if n := len(strings.ReplaceAll(c, "'", "")); strings.ReplaceAll(tail(c, n), "'", "") != strings.ReplaceAll(c, "'", "") {
			t.Fatalf("tail(%q, %d) = %q", c, n, tail(c, n))
		}
	})
}

func BenchmarkKeystroke(b *testing.B) {
	e, _ := open(b)
	word := "zhangguilanyanglao"
	i := 0
	for b.Loop() {
		i++
		e.Candidates(word[:1+i%len(word)], 0)
	}
}

func BenchmarkWord(b *testing.B) {
	e, _ := open(b)
	for b.Loop() {
		e.Clear()
		e.Candidates("yanglaobaoxian", 0)
	}
}

func BenchmarkOpenAgain(b *testing.B) {
	dir := b.TempDir()
	for b.Loop() {
		e, err := Open(dir)
		if err != nil {
			b.Skip(err)
		}
		e.Close()
	}
}

// A user folder that librime cannot write its deployed schema to leaves the
// packaged one in use, which learns: the engine must refuse, not remember.
func TestRefusesToRemember(t *testing.T) {
	dir := t.TempDir()
	// A file where librime wants its staging folder.
	if err := os.WriteFile(filepath.Join(dir, "build"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	e, err := Open(dir)
	if err == nil {
		e.Close()
	}
	if errors.Is(err, ErrUnavailable) && os.Getenv("CUNBAN_CI") != "1" {
		t.Skip(err)
	}
	if err == nil {
		t.Fatal("an engine that learns was opened")
	}
}
