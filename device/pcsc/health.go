package pcsc

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"cunban/device"
)

// Codes of the card reader's health.
const (
	CodeService  = "PC-01" // the smart-card service is not running
	CodeNoReader = "PC-02" // service runs, no reader plugged in
	CodeHeld     = "PC-03" // another program holds the reader
	CodeDenied   = "PC-04" // the service refuses this program (polkit)
	CodeFault    = "PC-05" // reader there, does not work
)

// polkit actions of pcsc-lite.
const (
	ruleService = "org.debian.pcsc-lite.access_pcsc"
	ruleCard    = "org.debian.pcsc-lite.access_card"
)

// simulatedReader is how vpcd names its readers.
const simulatedReader = "Virtual PCD"

func ready(reader string) device.Health {
	return device.Health{Name: reader, State: device.StateReady, Demo: demo(reader)}
}

func demo(reader string) bool { return strings.Contains(reader, simulatedReader) }

func noReader() device.Health {
	return device.Health{State: device.StateAbsent, Code: CodeNoReader,
		Cause:  "没有找到读卡器。",
		Remedy: "请检查读卡器的连接线，拔下来再插上；还不行请联系维护人员。"}
}

// serviceHealth says why no context could be had. socketThere tells that
// something listens at the service's socket, which with a refusal means that
// it does not let this program in.
func serviceHealth(err error, socketThere bool) device.Health {
	if errors.Is(err, errSecurity) || socketThere && errors.Is(err, errComm) {
		return denied(ruleService, err)
	}
	return device.Health{State: device.StateAbsent, Code: CodeService,
		Cause:  "读卡服务没有运行。",
		Remedy: "稍等片刻会自动恢复；一直不好请联系维护人员重启读卡服务（pcscd）。",
		Detail: fmt.Sprintf("establish PC/SC context: %v", err)}
}

func denied(rule string, err error) device.Health {
	return device.Health{State: device.StateFault, Code: CodeDenied,
		Cause:  "系统不让本程序使用读卡器。",
		Remedy: "请联系维护人员安装本机的授权规则。",
		Detail: fmt.Sprintf("polkit action %s is not allowed for this user: %v", rule, err)}
}

func held(reader, holder string) device.Health {
	cause, detail := "读卡器正被另一个程序占用。", "holder not found"
	if holder != "" {
		cause, detail = fmt.Sprintf("读卡器正被另一个程序（%s）占用。", holder), "held by "+holder
	}
	return device.Health{Name: reader, State: device.StateBusy, Code: CodeHeld, Cause: cause,
		Remedy: "请稍等；一直这样请关闭那个程序或重启终端。", Detail: detail, Demo: demo(reader)}
}

func fault(reader string, err error) device.Health {
	return device.Health{Name: reader, State: device.StateFault, Code: CodeFault,
		Cause:  "读卡器出错了。",
		Remedy: "请把读卡器拔下来再插上；还不行请联系维护人员。",
		Detail: err.Error(), Demo: demo(reader)}
}

// findHolder names programs other than this one that use PC/SC, as far as
// /proc shows them: those that have its client library mapped. proc is the root
// of the process tree, "/proc".
func findHolder(proc string, self int) string {
	dirs, _ := filepath.Glob(filepath.Join(proc, "[0-9]*"))
	var names []string
	for _, d := range dirs {
		pid, err := strconv.Atoi(filepath.Base(d))
		if err != nil || pid == self {
			continue
		}
		maps, err := os.ReadFile(filepath.Join(d, "maps"))
		if err != nil || !strings.Contains(string(maps), "/libpcsclite.so") {
			continue
		}
		comm, err := os.ReadFile(filepath.Join(d, "comm"))
		if err != nil {
			continue
		}
		names = append(names, fmt.Sprintf("%s %d", strings.TrimSpace(string(comm)), pid))
		if len(names) == 3 {
			break
		}
	}
	return strings.Join(names, ", ")
}
