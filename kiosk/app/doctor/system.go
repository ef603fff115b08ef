package doctor

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"cunban/kiosk/app/config"
)

// leastW and leastH are the smallest screen that pages are laid out for, pixels,
// either way round.
const leastW, leastH = 1280, 800

func screen(_ context.Context, m *Machine, _ config.Config) Finding {
	var best string
	bestW, bestH := 0, 0
	for _, p := range m.glob("/sys/class/drm/*/modes") {
		if m.text(filepath.Join(filepath.Dir(p), "status")) != "connected" {
			continue
		}
		first, _, _ := strings.Cut(m.text(p), "\n") // the preferred mode
		w, h, ok := size(first)
		if ok && w*h > bestW*bestH {
			best, bestW, bestH = first, w, h
		}
	}
	switch {
	case bestW == 0:
		return warn("没有找到接好的屏幕。", "检查屏幕的电源和信号线。", "no connected DRM output")
	case max(bestW, bestH) < leastW || min(bestW, bestH) < leastH:
		return bad("屏幕太小："+best+"。", fmt.Sprintf("至少要 %d×%d。", leastW, leastH), "")
	}
	return good("屏幕 " + best + "。")
}

func size(s string) (w, h int, ok bool) {
	a, b, ok := strings.Cut(strings.TrimSpace(s), "x")
	w, err1 := strconv.Atoi(a)
	h, err2 := strconv.Atoi(strings.TrimRight(b, "ip"))
	return w, h, ok && err1 == nil && err2 == nil
}

// born is before this program was made: a clock that shows less is wrong.
var born = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

func clock(_ context.Context, m *Machine, _ config.Config) Finding {
	now := m.Now()
	if now.Before(born) {
		return bad("时钟不对，现在显示 "+now.Format("2006年1月2日")+"。", "连上网络校时：timedatectl set-ntp true；还不对，请换主板上的电池。", "")
	}
	ok, err := m.Synced()
	switch {
	case err != nil:
		return warn("看不出时钟准不准。", "运行 timedatectl 看一看。", err.Error())
	case !ok:
		return warn("时钟没有和网络对时。", "运行：timedatectl set-ntp true", "the kernel's clock is not synchronised")
	}
	return good("时钟已经对时。")
}

func disk(_ context.Context, m *Machine, c config.Config) Finding {
	n, err := m.Free(m.path(c.Data))
	if err != nil {
		return bad("看不到数据目录 "+c.Data+"。", "建好这个目录，让运行账户能读写。", err.Error())
	}
	need := int64(c.MinFreeMB) << 20
	have := fmt.Sprintf("还剩 %.1f GB。", float64(n)/(1<<30))
	switch {
	case n < need:
		return bad("磁盘满了，"+have, "清理磁盘，至少留出 "+fmt.Sprint(c.MinFreeMB)+" MB，才能收新的办件。", "")
	case n < 5*need:
		return warn("磁盘快满了，"+have, "近期清理磁盘。", "")
	}
	return good(have)
}

// badMounts are options of a mount that break the promise that what was synced
// is there after a power cut.
var badMounts = []string{"nobarrier", "barrier=0"}

// lasting are file systems that keep a journal or copy on write.
var lasting = []string{"ext4", "ext3", "xfs", "btrfs", "f2fs", "zfs", "bcachefs"}

func mount(_ context.Context, m *Machine, c config.Config) Finding {
	dir, err := filepath.Abs(c.Data)
	if err != nil {
		return bad("数据目录写得不对。", "改正配置里的 data。", err.Error())
	}
	best, kind, options := "", "", ""
	for line := range strings.Lines(m.text("/proc/self/mounts")) {
		f := strings.Fields(line)
		if len(f) < 4 {
			continue
		}
		if p := f[1]; (p == "/" || dir == p || strings.HasPrefix(dir, p+"/")) && len(p) >= len(best) {
			best, kind, options = p, f[2], f[3]
		}
	}
	if best == "" {
		return warn("看不出数据在哪个磁盘上。", "请看 /proc/self/mounts。", "")
	}
	for o := range strings.SplitSeq(options, ",") {
		if slices.Contains(badMounts, o) {
			return bad("磁盘的断电保护被关了。", "在 /etc/fstab 里去掉 "+o+"，再重启。", best+" "+options)
		}
	}
	if kind == "tmpfs" || kind == "ramfs" {
		return bad("数据放在内存里，一断电就没了。", "把配置里的 data 改到硬盘上。", best+" is "+kind)
	}
	if !slices.Contains(lasting, kind) {
		return warn("数据所在的磁盘格式是 "+kind+"，断电容易坏。", "换成 ext4。", best)
	}
	return good("磁盘格式 " + kind + "，断电保护开着。")
}

// swap looks whether memory, and with it what residents typed, can be written to
// the disk unencrypted.
func swap(_ context.Context, m *Machine, _ config.Config) Finding {
	table := m.text("/proc/swaps")
	if table == "" {
		return warn("看不出内存会不会写到磁盘上。", "请看 /proc/swaps。", "/proc/swaps is not there")
	}
	var open []string
	for i, line := range strings.Split(table, "\n") {
		f := strings.Fields(line)
		if i == 0 || len(f) == 0 {
			continue
		}
		name := filepath.Base(f[0])
		if strings.HasPrefix(name, "zram") { // compressed, in memory
			continue
		}
		// A swap on a crypt target is a device-mapper device whose id begins so.
		if strings.HasPrefix(m.text("/sys/class/block/"+name+"/dm/uuid"), "CRYPT-") {
			continue
		}
		open = append(open, f[0])
	}
	if len(open) > 0 {
		return bad("系统会把内存写到没有加密的交换区："+strings.Join(open, "、")+"。", "运行 swapoff -a，并在 /etc/fstab 里去掉 swap 那一行；要用就用 zram。", "")
	}
	return good("内存不会写到没有加密的磁盘上。")
}

func key(_ context.Context, m *Machine, c config.Config) Finding {
	if len(c.Keys) == 0 {
		return bad("配置里没有写密钥放在哪里。", "在配置里加 keys。", "")
	}
	k := c.Keys[0]
	chip := len(m.glob("/dev/tpmrm*")) > 0
	switch k.Kind {
	case "file":
		if st, err := os.Stat(m.path(k.Path)); err == nil && st.Mode().Perm()&0o077 != 0 {
			return bad("密钥文件别人也能读。", "运行：chmod 600 "+k.Path, st.Mode().String())
		}
		if chip {
			return warn("密钥放在本机文件里，只能防单独拷走数据库。", "这台机器有安全芯片，配置里加 tpm2，再运行：kioskctl vault rotate --to tpm2", "")
		}
		return warn("密钥放在本机文件里，只能防单独拷走数据库。", "有条件的，改用 U 盘或安全芯片。", "")
	case "tpm2":
		if p := or(k.Device, "/dev/tpmrm0"); !m.exists(p) {
			return bad("没有找到安全芯片 "+p+"。", "在 BIOS 里打开 TPM，再重启。", "")
		}
	case "usb":
		if !m.exists(k.Path) {
			return bad("没有找到密钥 U 盘："+k.Path+"。", "插上帮办员的密钥 U 盘。", "")
		}
	case "exec":
		if st, err := os.Stat(m.path(k.Path)); err != nil || st.Mode().Perm()&0o111 == 0 {
			return bad("密钥程序 "+k.Path+" 不能运行。", "装好密码卡的程序，或改正配置。", errText(err))
		}
	}
	return good("密钥来源：" + k.Kind + "。")
}

func network(ctx context.Context, m *Machine, c config.Config) Finding {
	u, err := url.Parse(c.Upstream)
	if err != nil || u.Hostname() == "" {
		return bad("县里的地址写得不对。", "改正配置里的 upstream。", errText(err))
	}
	port := or(u.Port(), "443")
	conn, err := m.Dial(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return bad("连不上县里："+u.Host+"。", "检查网线、路由器，再问网络公司；没有网络也能办件，联网后自动上传。", err.Error())
	}
	_ = conn.Close() // nothing was sent
	return good("连得上县里：" + u.Host + "。")
}
