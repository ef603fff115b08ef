package main

import (
	"strings"
	"testing"
)

func TestJudgeVideo(t *testing.T) {
	for name, c := range map[string]struct {
		said string
		ok   bool
	}{
		"well":             {"control,FAIL,test,PASS", true},
		"nothing":          {"", false},
		"ended early":      {"control,FAIL", false},
		"test failed":      {"control,FAIL,test,FAIL", false},
		"never ended":      {"control,FAIL,test,=== RUN TestVivid", false},
		"control passed":   {"control,PASS,test,PASS", false},
		"control skipped":  {"control,--- SKIP,PASS,test,PASS", false},
		"a part was left":  {"control,FAIL,test,    --- SKIP: TestVivid/capture,PASS", false},
		"control's PASS":   {"control,FAIL,PASS,test,FAIL", false},
		"could not load":   {"cannot load /modules/vivid.ko,control,FAIL,test,FAIL", false},
		"in another order": {"test,PASS,control,FAIL", false},
	} {
		if err := judgeVideo(strings.Split(c.said, ",")); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
