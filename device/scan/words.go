package scan

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"cunban/device"
)

// Errors of scanning beyond those of the port.
var (
	ErrIO     = errors.New("scan: the connection to the scanner broke")
	ErrDenied = errors.New("scan: this program may not use the scanner")
	ErrMemory = errors.New("scan: not enough memory")
	ErrNoSANE = errors.New("scan: scanimage is not installed")
	// ErrSettings means that the scanner cannot scan in the way it is asked to.
	ErrSettings = errors.New("scan: the scanner does not take its settings")
	// ErrCancelled means that somebody stopped the scan at the scanner.
	ErrCancelled = errors.New("scan: cancelled at the scanner")
	// ErrKept means that a page could not be removed from the folder after it
	// was read: it is not given out, since the paper of a person would be left
	// lying there.
	ErrKept = errors.New("scan: the page cannot be removed from the folder")
)

// statuses maps SANE's status texts (sane_strstatus, SANE standard 1.06 §4.2)
// to errors. The order matters only in that the first hit wins.
var statuses = []struct {
	text string
	err  error
}{
	{"Device busy", device.ErrBusy},
	{"Document feeder jammed", device.ErrJam},
	{"Document feeder out of documents", device.ErrFeederEmpty},
	{"Scanner cover is open", device.ErrCoverOpen},
	{"Error during device I/O", ErrIO},
	{"Out of memory", ErrMemory},
	{"Access to resource has been denied", ErrDenied},
	{"no SANE devices found", device.ErrAbsent},
}

// ofSettings are statuses about what was asked of an open scanner.
var ofSettings = []struct {
	text string
	err  error
}{
	{"Operation not supported", ErrSettings},
	{"Invalid argument", ErrSettings},
	{"Operation was canceled", ErrCancelled},
}

// classify turns what happened to the scanimage process into an error of the
// port. A message about opening the device means that it is not there, for
// backends answer "Invalid argument" to a name they do not know.
func classify(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("%w: %w", ErrNoSANE, err)
	}
	var exit *exitError
	if !errors.As(err, &exit) {
		return err
	}
	for _, s := range statuses {
		if strings.Contains(exit.text, s.text) {
			return fmt.Errorf("%w: %w", s.err, err)
		}
	}
	if strings.Contains(exit.text, "open of device") {
		return fmt.Errorf("%w: %w", device.ErrAbsent, err)
	}
	// Only now: opening a name that is not there says the same.
	for _, s := range ofSettings {
		if strings.Contains(exit.text, s.text) {
			return fmt.Errorf("%w: %w", s.err, err)
		}
	}
	if exit.ok {
		return err // nothing but a page that is not whole
	}
	return fmt.Errorf("%w: %w", ErrIO, err)
}

// condition puts an error into words: state, short code, cause and remedy. The
// words are for the person in front of the machine.
func condition(err error) device.Health {
	h := device.Health{Detail: fmt.Sprint(err)}
	set := func(s device.State, code, cause, remedy string) device.Health {
		h.State, h.Code, h.Cause, h.Remedy = s, code, cause, remedy
		return h
	}
	switch {
	case err == nil:
		return device.Health{State: device.StateReady}
	case errors.Is(err, ErrNoSANE):
		return set(device.StateAbsent, "SC-01", "扫描程序没有装好。", "请技术员安装 sane-utils。材料可以以后补交。")
	case errors.Is(err, device.ErrAbsent):
		return set(device.StateAbsent, "SC-02", "没有找到扫描仪。", "看看扫描仪的电源和数据线。材料可以以后补交。")
	case errors.Is(err, device.ErrBusy):
		return set(device.StateBusy, "SC-03", "扫描仪正忙。", "等一会儿再试。")
	case errors.Is(err, device.ErrJam):
		return set(device.StateFault, "SC-04", "扫描仪卡纸了。", "打开盖子，轻轻把纸抽出来，再放一次。")
	case errors.Is(err, device.ErrFeederEmpty):
		return set(device.StateLow, "SC-05", "扫描仪里没有纸。", "把要扫的纸放好，再点一次。")
	case errors.Is(err, device.ErrCoverOpen):
		return set(device.StateFault, "SC-06", "扫描仪的盖子没有盖好。", "盖好盖子，再点一次。")
	case errors.Is(err, ErrDenied):
		return set(device.StateFault, "SC-07", "这台终端没有使用扫描仪的权限。", "请技术员把运行账户加入 scanner 组。")
	case errors.Is(err, ErrMemory):
		return set(device.StateFault, "SC-08", "内存不够，没有扫成。", "请再试一次；还不行，请技术员重启终端。")
	case errors.Is(err, ErrSettings):
		return set(device.StateFault, "SC-13", "扫描仪不能这样扫。", "请技术员检查扫描仪的设置。材料可以以后补交。")
	case errors.Is(err, ErrCancelled):
		return set(device.StateLow, "SC-14", "这一页在扫描仪上被取消了。", "需要的话，再扫一次。前面扫好的页都在。")
	case errors.Is(err, context.DeadlineExceeded):
		return set(device.StateFault, "SC-09", "扫描仪很久没有反应。", "关掉扫描仪，等十秒再打开。")
	case errors.Is(err, ErrPicture) && !errors.Is(err, ErrIO):
		return set(device.StateFault, "SC-10", "这一页没有扫完整。", "请再扫一次。前面扫好的页都在。")
	case errors.Is(err, ErrKept):
		return set(device.StateFault, "SC-12", "材料文件夹不让删除文件。", "请技术员检查文件夹的权限。")
	}
	return set(device.StateFault, "SC-11", "扫描中断了，可能是线松了。", "插好扫描仪的线，再扫一次。前面扫好的页都在。")
}

// Explain gives the short code and the plain words for an error of Capture:
// what happened and what to do. An error that this package does not know gets
// the words for a broken scan.
func Explain(err error) (code, cause, remedy string) {
	h := condition(err)
	return h.Code, h.Cause, h.Remedy
}
