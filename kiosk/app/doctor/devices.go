package doctor

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"cunban/assets"
	"cunban/device"
	"cunban/kiosk/app/config"
)

// off is the configuration's word for a device that is not there.
const off = "off"

// readerSocket is where pcscd listens.
const readerSocket = "/run/pcscd/pcscd.comm"

func readerService(ctx context.Context, m *Machine, c config.Config) Finding {
	if c.Devices.CardReader == off {
		return skipped("配置里没有社保卡读卡器。")
	}
	if !m.exists(readerSocket) {
		return bad("读卡服务 pcscd 没有运行。", "装好 pcscd，再运行：systemctl enable --now pcscd.socket", readerSocket+" is not there")
	}
	conn, err := m.Dial(ctx, "unix", m.path(readerSocket))
	if err != nil {
		return bad("连不上读卡服务。", "运行：systemctl restart pcscd.socket", err.Error())
	}
	_ = conn.Close() // nothing was sent
	return good("读卡服务正常。")
}

// usbClassCCID is the class of chip-card readers (USB CCID 1.1).
const usbClassCCID = "0b"

func readers(ctx context.Context, m *Machine, c config.Config) Finding {
	if c.Devices.CardReader == off {
		return skipped("配置里没有社保卡读卡器。")
	}
	n := 0
	for _, p := range m.glob("/sys/bus/usb/devices/*/bInterfaceClass") {
		if m.text(p) == usbClassCCID {
			n++
		}
	}
	h, probed := m.Probe(ctx, device.KindCardReader)
	switch {
	case probed && h.State.Usable():
		return good("读卡器可以用：" + h.Name + "。")
	case probed && h.Remedy != "":
		return bad(h.Cause, h.Remedy, fmt.Sprintf("%s; %d CCID interfaces on USB; %s", h.Code, n, h.Detail))
	case n == 0:
		return bad("没有找到读卡器。", "插好读卡器的线；再看电脑认不认：lsusb", "no USB interface of class 0b (CCID)")
	}
	return good(fmt.Sprintf("USB 上有 %d 个读卡器。", n))
}

// polkitActions are what pcscd asks polkit about: the service, and each card.
var polkitActions = []string{"org.debian.pcsc-lite.access_pcsc", "org.debian.pcsc-lite.access_card"}

func polkit(_ context.Context, m *Machine, c config.Config) Finding {
	if c.Devices.CardReader == off {
		return skipped("配置里没有社保卡读卡器。")
	}
	if !m.exists("/usr/share/polkit-1/actions/org.debian.pcsc-lite.policy") {
		return good("这台机器的读卡服务不问 polkit。")
	}
	allowed := map[string]string{} // action to the rule that names it
	for _, dir := range []string{"/etc/polkit-1/rules.d", "/usr/share/polkit-1/rules.d", "/usr/local/share/polkit-1/rules.d"} {
		for _, p := range m.glob(dir + "/*.rules") {
			for _, a := range polkitActions {
				if strings.Contains(m.text(p), a) {
					allowed[a] = filepath.Base(p)
				}
			}
		}
	}
	for _, a := range polkitActions {
		if allowed[a] == "" {
			return warn("没有给本程序读卡的规则，用专门账户运行时读不了卡。",
				"把安装包里的 "+assets.PolkitRuleName+" 放进 /etc/polkit-1/rules.d，再重启 polkit 和 pcscd。", "no rule names "+a)
		}
	}
	return good("读卡权限已经配好：" + allowed[polkitActions[1]] + "。")
}

func idReader(_ context.Context, m *Machine, c config.Config) Finding {
	p := c.Devices.IDReader
	if p == "" || p == off {
		return skipped("配置里没有身份证阅读器。")
	}
	if !m.exists(p) {
		have := m.glob("/dev/serial/by-id/*")
		return bad("没有找到身份证阅读器："+p+"。", "插好线；有的是这些："+or(strings.Join(have, "、"), "没有串口设备")+"。把配置 devices.id_reader 改成其中一个。", "")
	}
	if err := m.Open(m.path(p)); err != nil {
		return bad("没有使用身份证阅读器的权限。", "把运行账户加入 dialout 组：usermod -aG dialout 账户，再重新登录。", err.Error())
	}
	if reUnstable.MatchString(p) {
		return warn("身份证阅读器用的名字 "+p+" 重新插线后会变。", "配置里改用 /dev/serial/by-id/ 下面的名字。", "")
	}
	return good("身份证阅读器在：" + p + "。")
}

// reUnstable are names that the kernel gives out anew at each plugging in.
var reUnstable = regexp.MustCompile(`^/dev/tty(USB|ACM)\d+$`)

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// deviceFiles are kinds of device files and the group that may use them.
var deviceFiles = []struct{ pattern, group, what string }{
	{"/dev/video*", "video", "高拍仪"},
	{"/dev/usb/lp*", "lp", "小票打印机"},
	{"/dev/tpmrm*", "tss", "安全芯片"},
}

func rights(_ context.Context, m *Machine, _ config.Config) Finding {
	var no, groups []string
	seen := 0
	for _, d := range deviceFiles {
		for _, p := range m.glob(d.pattern) {
			seen++
			if err := m.Open(m.path(p)); err != nil {
				no, groups = append(no, d.what+" "+p), append(groups, d.group)
			}
		}
	}
	if len(no) > 0 {
		return bad("不能使用："+strings.Join(no, "、")+"。", "把运行账户加入这些组，再重新登录："+strings.Join(groups, "、")+"。", "")
	}
	if seen == 0 {
		return good("没有要权限的设备文件。")
	}
	return good(fmt.Sprintf("%d 个设备文件都能用。", seen))
}

// sleepy are classes of USB interfaces that must not be put to sleep, and what
// they are.
var sleepy = map[string]string{usbClassCCID: "读卡器", "07": "打印机", "0e": "高拍仪"}

func autosuspend(_ context.Context, m *Machine, _ config.Config) Finding {
	var asleep []string
	for _, p := range m.glob("/sys/bus/usb/devices/*/bInterfaceClass") {
		what, care := sleepy[m.text(p)]
		if !care {
			continue
		}
		// 1-2:1.0 is an interface of the device 1-2.
		dev, _, _ := strings.Cut(filepath.Base(filepath.Dir(p)), ":")
		if m.text("/sys/bus/usb/devices/"+dev+"/power/control") == "auto" {
			asleep = append(asleep, what+" "+dev)
		}
	}
	if len(asleep) > 0 {
		return warn("系统会让这些设备休眠："+strings.Join(asleep, "、")+"。有的设备睡了醒不来。",
			`关掉它：在 /etc/udev/rules.d 加一条 ACTION=="add", SUBSYSTEM=="usb", ATTR{power/control}="on"，再拔插一次。`, "")
	}
	return good("没有设备会被休眠。")
}

func scanner(ctx context.Context, m *Machine, c config.Config) Finding {
	return probed(ctx, m, c.Devices.Scanner == off, device.KindScanner, "扫描仪")
}

func docCamera(ctx context.Context, m *Machine, c config.Config) Finding {
	return probed(ctx, m, c.Devices.DocCamera == off || c.Devices.DocCamera == "", device.KindDocCamera, "高拍仪")
}

func printer(ctx context.Context, m *Machine, c config.Config) Finding {
	return probed(ctx, m, c.Devices.Printer == off || c.Devices.Printer == "", device.KindPagePrinter, "打印机")
}

func receiptPrinter(ctx context.Context, m *Machine, c config.Config) Finding {
	return probed(ctx, m, c.Devices.ReceiptPrinter == off || c.Devices.ReceiptPrinter == "", device.KindReceiptPrint, "小票打印机")
}

// probed is the finding of a device's own self-test.
func probed(ctx context.Context, m *Machine, isOff bool, k device.Kind, what string) Finding {
	if isOff {
		return skipped("配置里没有" + what + "。")
	}
	h, ok := m.Probe(ctx, k)
	switch {
	case !ok:
		return warn(what+"没有检查。", "停下终端程序再检查一次，或看技术员页面。", "nobody probed it")
	case h.State.Usable() && h.Cause == "":
		return good(what + "可以用：" + h.Name + "。")
	case h.State.Usable():
		return warn(h.Cause, h.Remedy, h.Code+" "+h.Detail)
	}
	return bad(h.Cause, h.Remedy, h.Code+" "+h.Detail)
}

// printFiles looks whether CUPS keeps what was printed: receipts are personal.
func printFiles(_ context.Context, m *Machine, c config.Config) Finding {
	if c.Devices.Printer == off || c.Devices.Printer == "" {
		return skipped("配置里没有打印机。")
	}
	conf := m.text("/etc/cups/cupsd.conf")
	if conf == "" && !m.exists("/run/cups") {
		return good("打印机不经过本机的 CUPS，不留底。")
	}
	for line := range strings.Lines(conf) {
		if f := strings.Fields(line); len(f) == 2 && strings.EqualFold(f[0], "PreserveJobFiles") && strings.EqualFold(f[1], "no") {
			return good("CUPS 打完就删，不留底。")
		}
	}
	return bad("CUPS 会把打过的回执留一天。", "在 /etc/cups/cupsd.conf 写 PreserveJobFiles No，再运行：systemctl restart cups", "")
}

func sound(ctx context.Context, m *Machine, c config.Config) Finding {
	if c.Devices.Speech == off {
		return skipped("配置里关了声音。")
	}
	if cards := m.text("/proc/asound/cards"); cards == "" || strings.Contains(cards, "no soundcards") {
		return warn("没有找到声卡，念不出话。", "接上音箱或屏幕的声音线；不用声音就把 devices.speech 写成 off。", or(cards, "/proc/asound/cards is not there"))
	}
	if _, err := m.Run(ctx, "espeak-ng", "--version"); err != nil {
		return warn("没有装朗读程序。", "运行：apt install espeak-ng", err.Error())
	}
	return good("声卡和朗读程序都在。")
}
