package ui

import (
	"context"
	"fmt"

	"cunban/device"
)

// PrintPaper prints a PDF and gives the words that are true afterwards. The
// end of a job may be unknown: then a person is asked, and nothing is printed
// twice by itself.
func PrintPaper(ctx context.Context, c *Ctx, title string, pdf []byte) (words string, err error) {
	r, err := c.B.Print(ctx, title, pdf, c.Progress)
	if err != nil {
		return "", err
	}
	switch r.End {
	case device.PrintDone:
		return "打印好了，请取走。", nil
	case device.PrintUnknown:
		return "不知道打出来没有，请看一看出纸口。没有的话，可以再打一次。", nil
	case device.PrintFailed:
		return "", &Trouble{Code: "PR-01", Text: "没有打印出来：" + r.Cause, Remedy: r.Remedy + "。事情已经办了，回执随时可以补打", Detail: r.Detail}
	}
	return "", fmt.Errorf("print end %q", r.End)
}
