package doctor

import (
	"context"
	"os"
	"strconv"
	"strings"

	"cunban/device"
	"cunban/kiosk/app/config"
)

// Bits of a file's mode.
const (
	mayRun         = 0o111
	othersMayWrite = 0o002
)

// vendors looks at makers' drivers: each must be there, must be a program, and
// must not be one that everybody on the machine can replace.
func vendors(ctx context.Context, m *Machine, c config.Config) Finding {
	list := c.Devices.Vendor
	if len(list) == 0 {
		return skipped("配置里没有厂家设备。")
	}
	for _, v := range list {
		info, err := os.Stat(m.path(v.Command))
		switch {
		case err != nil:
			return bad("没有找到“"+v.Name+"”的驱动："+v.Command+"。", "装好厂家的驱动，或改正配置 devices.vendor 里的 command。", err.Error())
		case info.IsDir() || info.Mode()&mayRun == 0:
			return bad("“"+v.Name+"”的驱动不能运行："+v.Command+"。", "运行：chmod 755 "+v.Command, info.Mode().String())
		case info.Mode()&othersMayWrite != 0:
			return bad("“"+v.Name+"”的驱动谁都能改，不安全。", "运行：chmod 755 "+v.Command, info.Mode().String())
		}
	}
	f := probed(ctx, m, false, device.KindVendor, "厂家设备")
	if f.Grade == Good && len(list) > 1 {
		return good(strconv.Itoa(len(list)) + " 个厂家设备都可以用：" + names(list) + "。")
	}
	return f
}

func names(list []config.Vendor) string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = v.Name
	}
	return strings.Join(out, "、")
}
