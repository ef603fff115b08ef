// Code generated from events.json by go generate; DO NOT EDIT.

package oplog

// CatalogueVersion is the version of events.json.
const CatalogueVersion = 1

// The events.
const (
	TerminalStart             Event = "terminal.start"               // 终端程序启动
	TerminalStop              Event = "terminal.stop"                // 终端程序停下
	SessionBegin              Event = "session.begin"                // 有人开始使用
	SessionEnd                Event = "session.end"                  // 使用结束
	CardRead                  Event = "card.read"                    // 读卡
	CardLeft                  Event = "card.left"                    // 卡忘在终端上
	CardTaken                 Event = "card.taken"                   // 卡已取走
	ClaimVerified             Event = "claim.verified"               // 核实办事人身份
	NoticeShown               Event = "notice.shown"                 // 一次性告知已显示
	FormBegin                 Event = "form.begin"                   // 开始填表
	FormAbandoned             Event = "form.abandoned"               // 填表中途离开
	MaterialCaptured          Event = "material.captured"            // 采集材料
	CaseSubmit                Event = "case.submit"                  // 提交办件
	CaseWithdraw              Event = "case.withdraw"                // 撤回办件
	CaseAccepted              Event = "case.accepted"                // 县里已受理
	CaseProcessing            Event = "case.processing"              // 县里正在办理
	CaseReturned              Event = "case.returned"                // 县里退回补正
	CaseFinished              Event = "case.finished"                // 县里已办结
	CaseRefused               Event = "case.refused"                 // 县里不予办理
	CaseShred                 Event = "case.shred"                   // 到期销毁办件密钥
	CaseSalvage               Event = "case.salvage"                 // 找回没有上传的办件
	CaseReclaim               Event = "case.reclaim"                 // 找回的办件归到本人名下
	QueueAttention            Event = "queue.attention"              // 办件要人处理
	QueueRequeue              Event = "queue.requeue"                // 办件重新排队
	QueueRetry                Event = "queue.retry"                  // 上传没成，稍后再试
	PrintBegin                Event = "print.begin"                  // 开始打印
	PrintEnd                  Event = "print.end"                    // 打印结束
	HelpCall                  Event = "help.call"                    // 呼叫帮助
	IdleAsked                 Event = "idle.asked"                   // 询问是否还在
	IdleWiped                 Event = "idle.wiped"                   // 无人操作，屏幕已清除
	QueryMade                 Event = "query.made"                   // 查询
	StaffSignIn               Event = "staff.sign_in"                // 工作人员登录
	StaffLock                 Event = "staff.lock"                   // 账号暂时锁定
	StaffSignOut              Event = "staff.sign_out"               // 工作人员退出
	AssistTakeover            Event = "assist.takeover"              // 工作人员接手帮办
	AssistConfirm             Event = "assist.confirm"               // 办事人在屏幕上确认
	TechnicianSignIn          Event = "technician.sign_in"           // 技术员登录
	TechnicianLock            Event = "technician.lock"              // 技术员账号暂时锁定
	TechnicianSignOut         Event = "technician.sign_out"          // 技术员退出
	TechnicianLeaveFullScreen Event = "technician.leave_full_screen" // 离开全屏
	TechnicianSelfTest        Event = "technician.self_test"         // 设备自检
	ConfigChange              Event = "config.change"                // 改动配置
	EnrolBegin                Event = "enrol.begin"                  // 开始登记终端
	EnrolEnd                  Event = "enrol.end"                    // 登记终端结束
	CatalogueChange           Event = "catalogue.change"             // 事项目录换版
	DownlinkApplied           Event = "downlink.applied"             // 收下县里下发的内容
	DownlinkRefused           Event = "downlink.refused"             // 拒收县里下发的内容
	LogCheckpoint             Event = "log.checkpoint"               // 日志检查点签名
	LogCountersign            Event = "log.countersign"              // 县里会签检查点
	LogSeed                   Event = "log.seed"                     // 换用新的校验密钥
	LogVerify                 Event = "log.verify"                   // 核验日志
	LogExport                 Event = "log.export"                   // 导出日志
	LogPrune                  Event = "log.prune"                    // 删去到期的旧日志
	VaultOpened               Event = "vault.opened"                 // 打开数据保险柜
	VaultDamaged              Event = "vault.damaged"                // 数据文件损坏，已另存
	VaultSalvage              Event = "vault.salvage"                // 读取另存的损坏文件
	VaultCheck                Event = "vault.check"                  // 检查数据文件
	CaseAudit                 Event = "case.audit"                   // 核对办件和操作日志
	VaultRekey                Event = "vault.rekey"                  // 更换数据密钥
	RotateBegin               Event = "rotate.begin"                 // 开始更换磁盘密钥来源
	RotateEnd                 Event = "rotate.end"                   // 更换磁盘密钥来源结束
	VaultBackupKey            Event = "vault.backup_key"             // 另存备份密钥
	VaultSwept                Event = "vault.swept"                  // 清理没有归属的文件
	SimUse                    Event = "sim.use"                      // 使用模拟设备
	DeviceState               Event = "device.state"                 // 设备状态变化
	LineState                 Event = "line.state"                   // 线路状态变化
)

// commonFields may stand in every event.
var commonFields = []string{"code", "reason", "service", "revision", "ms"}

// Events lists the catalogue in its order.
var Events = []Event{
	TerminalStart,
	TerminalStop,
	SessionBegin,
	SessionEnd,
	CardRead,
	CardLeft,
	CardTaken,
	ClaimVerified,
	NoticeShown,
	FormBegin,
	FormAbandoned,
	MaterialCaptured,
	CaseSubmit,
	CaseWithdraw,
	CaseAccepted,
	CaseProcessing,
	CaseReturned,
	CaseFinished,
	CaseRefused,
	CaseShred,
	CaseSalvage,
	CaseReclaim,
	QueueAttention,
	QueueRequeue,
	QueueRetry,
	PrintBegin,
	PrintEnd,
	HelpCall,
	IdleAsked,
	IdleWiped,
	QueryMade,
	StaffSignIn,
	StaffLock,
	StaffSignOut,
	AssistTakeover,
	AssistConfirm,
	TechnicianSignIn,
	TechnicianLock,
	TechnicianSignOut,
	TechnicianLeaveFullScreen,
	TechnicianSelfTest,
	ConfigChange,
	EnrolBegin,
	EnrolEnd,
	CatalogueChange,
	DownlinkApplied,
	DownlinkRefused,
	LogCheckpoint,
	LogCountersign,
	LogSeed,
	LogVerify,
	LogExport,
	LogPrune,
	VaultOpened,
	VaultDamaged,
	VaultSalvage,
	VaultCheck,
	CaseAudit,
	VaultRekey,
	RotateBegin,
	RotateEnd,
	VaultBackupKey,
	VaultSwept,
	SimUse,
	DeviceState,
	LineState,
}

var catalogue = map[Event]Spec{
	TerminalStart:             {Kind: Begins, End: "terminal.stop", Roles: []string{"system"}, Fields: []string{"catalogue", "key_source", "terminal", "clean"}, Text: "终端程序启动"},
	TerminalStop:              {Kind: Ends, End: "", Roles: []string{"system", "technician"}, Fields: []string{}, Text: "终端程序停下"},
	SessionBegin:              {Kind: Begins, End: "session.end", Roles: []string{"resident", "staff", "technician"}, Fields: []string{"how", "mode"}, Text: "有人开始使用"},
	SessionEnd:                {Kind: Ends, End: "", Roles: []string{"resident", "staff", "technician", "system"}, Fields: []string{"how"}, Text: "使用结束"},
	CardRead:                  {Kind: Single, End: "", Roles: []string{"resident", "staff", "system"}, Fields: []string{"card", "reader"}, Text: "读卡"},
	CardLeft:                  {Kind: Single, End: "", Roles: []string{"resident", "system"}, Fields: []string{"card", "reader"}, Text: "卡忘在终端上"},
	CardTaken:                 {Kind: Single, End: "", Roles: []string{"resident", "staff", "system"}, Fields: []string{"card", "reader"}, Text: "卡已取走"},
	ClaimVerified:             {Kind: Single, End: "", Roles: []string{"resident", "staff", "system"}, Fields: []string{"source", "verification"}, Text: "核实办事人身份"},
	NoticeShown:               {Kind: Single, End: "", Roles: []string{"resident", "staff"}, Fields: []string{}, Text: "一次性告知已显示"},
	FormBegin:                 {Kind: Single, End: "", Roles: []string{"resident", "staff"}, Fields: []string{"mode", "catalogue"}, Text: "开始填表"},
	FormAbandoned:             {Kind: Single, End: "", Roles: []string{"resident", "staff", "system"}, Fields: []string{"step"}, Text: "填表中途离开"},
	MaterialCaptured:          {Kind: Single, End: "", Roles: []string{"resident", "staff"}, Fields: []string{"material", "page", "pages", "retake", "bytes"}, Text: "采集材料"},
	CaseSubmit:                {Kind: Single, End: "", Roles: []string{"resident", "staff"}, Fields: []string{"mode", "verification", "confirmed", "catalogue", "body", "files", "key"}, Text: "提交办件"},
	CaseWithdraw:              {Kind: Single, End: "", Roles: []string{"resident", "staff"}, Fields: []string{}, Text: "撤回办件"},
	CaseAccepted:              {Kind: Single, End: "", Roles: []string{"system"}, Fields: []string{"acceptance", "due"}, Text: "县里已受理"},
	CaseProcessing:            {Kind: Single, End: "", Roles: []string{"system"}, Fields: []string{"acceptance", "due"}, Text: "县里正在办理"},
	CaseReturned:              {Kind: Single, End: "", Roles: []string{"system"}, Fields: []string{"acceptance", "due", "mend"}, Text: "县里退回补正"},
	CaseFinished:              {Kind: Single, End: "", Roles: []string{"system"}, Fields: []string{"acceptance", "due"}, Text: "县里已办结"},
	CaseRefused:               {Kind: Single, End: "", Roles: []string{"system"}, Fields: []string{"acceptance", "due"}, Text: "县里不予办理"},
	CaseShred:                 {Kind: Single, End: "", Roles: []string{"system", "technician"}, Fields: []string{"count"}, Text: "到期销毁办件密钥"},
	CaseSalvage:               {Kind: Single, End: "", Roles: []string{"system", "technician"}, Fields: []string{"body", "files", "key", "lost"}, Text: "找回没有上传的办件"},
	CaseReclaim:               {Kind: Single, End: "", Roles: []string{"system"}, Fields: []string{}, Text: "找回的办件归到本人名下"},
	QueueAttention:            {Kind: Single, End: "", Roles: []string{"system"}, Fields: []string{"attempts"}, Text: "办件要人处理"},
	QueueRequeue:              {Kind: Single, End: "", Roles: []string{"staff", "technician", "system"}, Fields: []string{"attempts"}, Text: "办件重新排队"},
	QueueRetry:                {Kind: Single, End: "", Roles: []string{"system", "staff", "technician"}, Fields: []string{"attempts", "next"}, Text: "上传没成，稍后再试"},
	PrintBegin:                {Kind: Begins, End: "print.end", Roles: []string{"resident", "staff", "technician"}, Fields: []string{"paper", "printer", "copies"}, Text: "开始打印"},
	PrintEnd:                  {Kind: Ends, End: "", Roles: []string{"resident", "staff", "technician", "system"}, Fields: []string{"paper", "printer", "copies", "pages"}, Text: "打印结束"},
	HelpCall:                  {Kind: Single, End: "", Roles: []string{"resident", "staff"}, Fields: []string{"page"}, Text: "呼叫帮助"},
	IdleAsked:                 {Kind: Single, End: "", Roles: []string{"resident", "staff", "technician", "system"}, Fields: []string{"page"}, Text: "询问是否还在"},
	IdleWiped:                 {Kind: Single, End: "", Roles: []string{"resident", "staff", "technician", "system"}, Fields: []string{"page"}, Text: "无人操作，屏幕已清除"},
	QueryMade:                 {Kind: Single, End: "", Roles: []string{"resident", "staff", "technician"}, Fields: []string{"kind", "count"}, Text: "查询"},
	StaffSignIn:               {Kind: Single, End: "", Roles: []string{"staff"}, Fields: []string{"how", "offline"}, Text: "工作人员登录"},
	StaffLock:                 {Kind: Single, End: "", Roles: []string{"staff", "system"}, Fields: []string{"until", "attempts"}, Text: "账号暂时锁定"},
	StaffSignOut:              {Kind: Single, End: "", Roles: []string{"staff", "system"}, Fields: []string{"how"}, Text: "工作人员退出"},
	AssistTakeover:            {Kind: Single, End: "", Roles: []string{"staff"}, Fields: []string{"mode"}, Text: "工作人员接手帮办"},
	AssistConfirm:             {Kind: Single, End: "", Roles: []string{"resident", "staff"}, Fields: []string{"mode", "helper"}, Text: "办事人在屏幕上确认"},
	TechnicianSignIn:          {Kind: Single, End: "", Roles: []string{"technician"}, Fields: []string{"how"}, Text: "技术员登录"},
	TechnicianLock:            {Kind: Single, End: "", Roles: []string{"technician", "system"}, Fields: []string{"until", "attempts"}, Text: "技术员账号暂时锁定"},
	TechnicianSignOut:         {Kind: Single, End: "", Roles: []string{"technician", "system"}, Fields: []string{"how"}, Text: "技术员退出"},
	TechnicianLeaveFullScreen: {Kind: Single, End: "", Roles: []string{"technician"}, Fields: []string{}, Text: "离开全屏"},
	TechnicianSelfTest:        {Kind: Single, End: "", Roles: []string{"technician", "system"}, Fields: []string{"test"}, Text: "设备自检"},
	ConfigChange:              {Kind: Single, End: "", Roles: []string{"technician", "system"}, Fields: []string{"key", "source"}, Text: "改动配置"},
	EnrolBegin:                {Kind: Begins, End: "enrol.end", Roles: []string{"technician", "system"}, Fields: []string{"upstream"}, Text: "开始登记终端"},
	EnrolEnd:                  {Kind: Ends, End: "", Roles: []string{"technician", "system"}, Fields: []string{"upstream", "terminal", "key"}, Text: "登记终端结束"},
	CatalogueChange:           {Kind: Single, End: "", Roles: []string{"system", "technician"}, Fields: []string{"from", "to"}, Text: "事项目录换版"},
	DownlinkApplied:           {Kind: Single, End: "", Roles: []string{"system"}, Fields: []string{"kind", "id"}, Text: "收下县里下发的内容"},
	DownlinkRefused:           {Kind: Single, End: "", Roles: []string{"system"}, Fields: []string{"kind", "id"}, Text: "拒收县里下发的内容"},
	LogCheckpoint:             {Kind: Single, End: "", Roles: []string{"system", "technician"}, Fields: []string{"size", "root"}, Text: "日志检查点签名"},
	LogCountersign:            {Kind: Single, End: "", Roles: []string{"system"}, Fields: []string{"size", "key"}, Text: "县里会签检查点"},
	LogSeed:                   {Kind: Single, End: "", Roles: []string{"system"}, Fields: []string{"key", "envelope"}, Text: "换用新的校验密钥"},
	LogVerify:                 {Kind: Single, End: "", Roles: []string{"technician", "staff", "system"}, Fields: []string{"size", "bad"}, Text: "核验日志"},
	LogExport:                 {Kind: Single, End: "", Roles: []string{"technician", "staff", "system"}, Fields: []string{"first", "size"}, Text: "导出日志"},
	LogPrune:                  {Kind: Single, End: "", Roles: []string{"system", "technician"}, Fields: []string{"from", "to", "root"}, Text: "删去到期的旧日志"},
	VaultOpened:               {Kind: Single, End: "", Roles: []string{"system"}, Fields: []string{"key_source", "strength", "created", "size"}, Text: "打开数据保险柜"},
	VaultDamaged:              {Kind: Single, End: "", Roles: []string{"system"}, Fields: []string{"file", "aside"}, Text: "数据文件损坏，已另存"},
	VaultSalvage:              {Kind: Single, End: "", Roles: []string{"system", "technician"}, Fields: []string{"aside", "origin", "size", "count", "lost", "pages"}, Text: "读取另存的损坏文件"},
	VaultCheck:                {Kind: Single, End: "", Roles: []string{"system", "technician"}, Fields: []string{"items", "bad"}, Text: "检查数据文件"},
	CaseAudit:                 {Kind: Single, End: "", Roles: []string{"system", "technician"}, Fields: []string{"items", "bad"}, Text: "核对办件和操作日志"},
	VaultRekey:                {Kind: Single, End: "", Roles: []string{"technician", "system"}, Fields: []string{"key_source"}, Text: "更换数据密钥"},
	RotateBegin:               {Kind: Begins, End: "rotate.end", Roles: []string{"technician", "system"}, Fields: []string{"from", "to"}, Text: "开始更换磁盘密钥来源"},
	RotateEnd:                 {Kind: Ends, End: "", Roles: []string{"technician", "system"}, Fields: []string{"from", "to"}, Text: "更换磁盘密钥来源结束"},
	VaultBackupKey:            {Kind: Single, End: "", Roles: []string{"technician"}, Fields: []string{"key_source"}, Text: "另存备份密钥"},
	VaultSwept:                {Kind: Single, End: "", Roles: []string{"system"}, Fields: []string{"count"}, Text: "清理没有归属的文件"},
	SimUse:                    {Kind: Single, End: "", Roles: []string{"technician", "system"}, Fields: []string{"do", "device"}, Text: "使用模拟设备"},
	DeviceState:               {Kind: Single, End: "", Roles: []string{"system"}, Fields: []string{"from", "to"}, Text: "设备状态变化"},
	LineState:                 {Kind: Single, End: "", Roles: []string{"system"}, Fields: []string{"from", "to"}, Text: "线路状态变化"},
}
