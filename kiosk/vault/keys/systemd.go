package keys

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// NameSystemd is the configured word of Systemd.
const NameSystemd = "systemd"

// Systemd takes the key from a service credential (systemd.exec(5),
// LoadCredentialEncrypted=), which systemd decrypts with the machine's TPM or
// host key. The credential's content is that of a key file.
type Systemd struct {
	// Dir is $CREDENTIALS_DIRECTORY as the service was started with it; "" when
	// it was started without credentials.
	Dir        string
	Credential string // name of the credential
}

// Name implements Source.
func (s Systemd) Name() string { return NameSystemd }

// Strength implements Strengther.
func (s Systemd) Strength() string {
	return "密钥由系统服务解密后交给终端：硬盘单独被拷走时读不出数据；整机被盗时要看系统是否用了安全芯片。"
}

// Load implements Source. A service without credentials has no key: ErrNoKey.
func (s Systemd) Load(context.Context) ([]byte, error) {
	if s.Dir == "" {
		return nil, fmt.Errorf("key source %s: started without credentials: %w", NameSystemd, ErrNoKey)
	}
	if s.Credential == "" || strings.ContainsAny(s.Credential, `/\`) {
		return nil, &Trouble{NameSystemd, "配置里的凭据名不对，请技术员改正。", errors.New("credential name")}
	}
	// The folder is the service's alone; newer systemd gives the files mode
	// 0440 for its user, so that the mode is not looked at.
	return readKeyFile(NameSystemd, filepath.Join(s.Dir, s.Credential), false)
}

// Create implements Source: credentials are made with systemd-creds(1).
func (s Systemd) Create(context.Context) ([]byte, error) {
	return nil, fmt.Errorf("key source %s: use systemd-creds encrypt: %w", NameSystemd, ErrCannotCreate)
}
