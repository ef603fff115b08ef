package pcsc

import (
	"errors"
	"fmt"
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

// RuleFile is the polkit rule that the packages install; it allows both actions.
const RuleFile = "/etc/polkit-1/rules.d/50-cunban.rules"

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
		Remedy: "请联系维护人员检查授权规则：" + RuleFile + "。",
		Detail: fmt.Sprintf("polkit action %s is not allowed for this user: %v", rule, err)}
}

func held(reader string, by holders) device.Health {
	cause := "读卡器正被另一个程序占用，查不出是哪一个。"
	switch {
	case by.sure:
		cause = fmt.Sprintf("读卡器正被另一个程序（%s）占用。", by.names[0])
	case len(by.names) > 0:
		cause = fmt.Sprintf("读卡器正被另一个程序占用，可能是：%s。", strings.Join(by.names, "、"))
	}
	return device.Health{Name: reader, State: device.StateBusy, Code: CodeHeld, Cause: cause,
		Remedy: "请稍等；一直这样请关闭那个程序或重启终端。", Detail: strings.Join(by.names, ", ") + " " + by.how, Demo: demo(reader)}
}

func fault(reader string, err error) device.Health {
	return device.Health{Name: reader, State: device.StateFault, Code: CodeFault,
		Cause:  "读卡器出错了。",
		Remedy: "请把读卡器拔下来再插上；还不行请联系维护人员。",
		Detail: err.Error(), Demo: demo(reader)}
}
