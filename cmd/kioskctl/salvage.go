package main

import (
	"encoding/json"
	"fmt"

	"cunban/kiosk/vault"
)

// vaultSalvage tells what was read out of vaults that were set aside.
func (c *command) vaultSalvage(raw json.RawMessage) int {
	var got []vault.Salvaged
	if err := json.Unmarshal(raw, &got); err != nil {
		return c.fail(err)
	}
	if len(got) == 0 {
		fmt.Fprintln(c.out, "没有另存的损坏文件。")
		return exitOK
	}
	code := exitOK
	for _, r := range got {
		fmt.Fprintf(c.out, "%s：找回 %d 件没有上传的办件，已重新排队；%d 件本机已有或县里已收。\n", r.Aside, r.Queued, r.Known)
		if r.Lost+r.Pages > 0 {
			code = exitFailed
			fmt.Fprintf(c.out, "%d 件、%d 页扫描件没有找回。请保留另存的文件，联系县里；找不回的请办事人重新提交。\n", r.Lost, r.Pages)
		}
	}
	return code
}
