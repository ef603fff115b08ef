package keys

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"cunban/kiosk/seal"
)

// NameTPM2 is the configured word of TPM2.
const NameTPM2 = "tpm2"

// DefaultTPM is the kernel's device with a resource manager, so that other
// programs can use the chip too.
const DefaultTPM = "/dev/tpmrm0"

// TPM2 keeps the key sealed by the machine's security chip (TPM 2.0 Library,
// ISO/IEC 11889): the file at Path holds what only this chip can open.
//
// The key is not bound to PCRs. Whoever takes the disk needs the chip, which PCRs
// do not change; whoever takes the whole box has disk and chip, and boots the
// same firmware and kernel, so that PCRs would not stop him either before a
// login. But a firmware or kernel update would change them, and a village far
// from its technician would be locked out of cases that nobody has yet.
//
// The object is exempt from the chip's dictionary-attack lock (noDA): it has no
// password to guess, and somebody's mistyped PIN for something else must not stop
// the terminal.
//
// On the bus between processor and chip the key is never clear: it travels under
// AES-128-CFB in an HMAC session whose salt only the chip's storage key (SRK) can
// open. The file pins that storage key, so that neither a listener nor a chip put
// between sees it. (AES, SHA-256 and P-256 are what every TPM 2.0 has; where SM4
// down to the hardware is asked for, use a certified device through Exec.)
type TPM2 struct {
	Path string // of the sealed key, beside the vault
	// Device is the chip's device file, or the Unix socket of a software TPM; "" =
	// DefaultTPM. Windows has one of its own and takes "" only.
	Device string
	Rand   io.Reader

	// tap stands between to listen, in tests; nil = nobody.
	tap func(transport.TPM) transport.TPM
}

// Name implements Source.
func (t TPM2) Name() string { return NameTPM2 }

// Strength implements Strengther.
func (t TPM2) Strength() string {
	return "密钥封在本机安全芯片（TPM）里：硬盘被拷走或装到别的机器上都读不出数据；整机被盗时不能保护。请另存一份备份密钥，主板坏了要用。"
}

// Load implements Source. Without a sealed file there is no key: ErrNoKey.
func (t TPM2) Load(ctx context.Context) ([]byte, error) {
	text, err := t.read()
	if err != nil {
		return nil, err
	}
	b, err := parseTPMBlob(text)
	if err != nil {
		return nil, t.trouble("封存密钥的文件坏了。请换上它的备份；没有备份，请用另存的备份密钥打开，再删掉这个文件重新封存。", err)
	}
	c, err := t.open(ctx)
	if err != nil {
		return nil, err
	}
	defer c.close()
	if !bytes.Equal(c.srkName.Buffer, b.SRK) {
		return nil, c.stranger(b)
	}
	return c.unseal(ctx, b)
}

// Create implements Source: a random key, sealed, opened again to see that it
// can be, and only then written.
func (t TPM2) Create(ctx context.Context) ([]byte, error) {
	if _, err := os.Lstat(t.Path); err == nil {
		return nil, fmt.Errorf("key source %s: %s: %w", NameTPM2, t.Path, ErrExists)
	}
	c, err := t.open(ctx)
	if err != nil {
		return nil, err
	}
	defer c.close()
	key := make([]byte, Size)
	if _, err := io.ReadFull(t.Rand, key); err != nil {
		return nil, t.trouble("取不到随机数，请重启终端。", err)
	}
	if err := t.seal(ctx, c, key); err != nil {
		clear(key)
		return nil, err
	}
	return key, nil
}

func (t TPM2) seal(ctx context.Context, c *chip, key []byte) error {
	b, err := c.seal(ctx, key)
	if err != nil {
		return err
	}
	again, err := c.unseal(ctx, b)
	if err != nil {
		return err
	}
	defer clear(again)
	if !seal.Equal(again, key) {
		return t.trouble("安全芯片封存的密钥打开后不一样，这块芯片不能用，请换用别的来源。", errors.New("unsealed something else"))
	}
	text, err := formatTPMBlob(b)
	if err != nil {
		return t.trouble("写不了封存密钥的文件，请找技术员。", err)
	}
	if err := makeFolder(filepath.Dir(t.Path)); err != nil {
		return t.trouble("建不了封存密钥的文件夹，请检查权限。", err)
	}
	err = writeNew(t.Path, text)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("key source %s: %s: %w", NameTPM2, t.Path, ErrExists)
	}
	if err != nil {
		return t.trouble("写不了封存密钥的文件，请检查权限和剩余空间。", err)
	}
	return nil
}

func (t TPM2) trouble(text string, err error) error { return &Trouble{NameTPM2, text, err} }

// read reads the sealed file. Anybody may see it: it opens nothing without the
// chip.
func (t TPM2) read() ([]byte, error) {
	f, err := os.Open(t.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("key source %s: %s: %w", NameTPM2, t.Path, ErrNoKey)
	}
	if err != nil {
		return nil, t.trouble("打不开封存密钥的文件，请检查权限。", err)
	}
	defer func() { _ = f.Close() }() // only read from
	text, err := io.ReadAll(io.LimitReader(f, maxTPMBlob+1))
	if err != nil {
		return nil, t.trouble("封存密钥的文件读到一半出错，请检查硬盘。", err)
	}
	return text, nil
}

// chip is an open TPM with its storage key loaded.
type chip struct {
	t       TPM2
	dev     transport.TPMCloser
	tpm     transport.TPM
	srk     tpm2.TPMHandle
	srkName tpm2.TPM2BName
	srkPub  tpm2.TPMTPublic
}

// open opens the chip and makes its storage key: the same one each time, until
// the chip is cleared.
func (t TPM2) open(ctx context.Context) (_ *chip, err error) {
	if err := ctx.Err(); err != nil {
		return nil, t.trouble("已取消。", err)
	}
	name := t.Device
	if name == "" {
		name = DefaultTPM
	}
	dev, err := openTPM(name)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errors.ErrUnsupported):
		return nil, t.trouble("没有找到安全芯片（TPM 2.0）。请在主板设置（BIOS）里打开它；机器没有这种芯片的，请在配置文件的 keys 里换用别的来源。", err)
	case errors.Is(err, fs.ErrPermission):
		return nil, t.trouble("没有权限用安全芯片。请把运行终端程序的账户加进 tss 组，再重启。", err)
	case err != nil && isBusy(err):
		return nil, t.trouble("安全芯片被别的程序占着。请关掉那个程序，或重启终端。", err)
	case err != nil:
		return nil, t.trouble("打不开安全芯片，请重启终端；还是不行，请找技术员。", err)
	}
	c := &chip{t: t, dev: dev, tpm: dev}
	if t.tap != nil {
		c.tpm = t.tap(dev)
	}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	rsp, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHOwner, InPublic: tpm2.New2B(tpm2.ECCSRKTemplate)}.Execute(c.tpm)
	if err != nil {
		return nil, c.fail("make the storage key", err)
	}
	c.srk, c.srkName = rsp.ObjectHandle, rsp.Name
	pub, err := rsp.OutPublic.Contents()
	if err != nil {
		return nil, c.fail("read the storage key", err)
	}
	c.srkPub = *pub
	// The name is computed here from the key that sessions are salted to: it is
	// what the sealed file pins.
	own, err := tpm2.ObjectName(pub)
	if err != nil || !bytes.Equal(own.Buffer, rsp.Name.Buffer) {
		return nil, c.fail("read the storage key", errors.Join(errors.New("its name is not its own"), err))
	}
	return c, nil
}

// close gives the chip back.
func (c *chip) close() {
	if c.srk != 0 {
		c.flush(c.srk)
	}
	_ = c.dev.Close() // nothing is buffered
}

func (c *chip) flush(h tpm2.TPMHandle) {
	// The resource manager forgets it at close anyway; a raw device until restart.
	_, _ = tpm2.FlushContext{FlushHandle: h}.Execute(c.tpm)
}

// session encrypts one parameter of one command.
func (c *chip) session(dir tpm2.AuthOption) tpm2.Session {
	return tpm2.HMAC(tpm2.TPMAlgSHA256, 16, tpm2.Salted(c.srk, c.srkPub), dir)
}

// seal makes a sealed object of the key.
func (c *chip) seal(ctx context.Context, key []byte) (tpmBlob, error) {
	if err := ctx.Err(); err != nil {
		return tpmBlob{}, c.t.trouble("已取消。", err)
	}
	rsp, err := tpm2.Create{
		ParentHandle: tpm2.AuthHandle{Handle: c.srk, Name: c.srkName, Auth: c.session(tpm2.AESEncryption(128, tpm2.EncryptIn))},
		InSensitive: tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{
			Data: tpm2.NewTPMUSensitiveCreate(&tpm2.TPM2BSensitiveData{Buffer: key}),
		}},
		InPublic: tpm2.New2B(sealedTemplate),
	}.Execute(c.tpm)
	if err != nil {
		return tpmBlob{}, c.fail("seal the key", err)
	}
	ek, err := c.endorsement()
	if err != nil {
		ek = nil // its owner keeps it to himself: a cleared chip is not told from another one
	}
	return tpmBlob{SRK: c.srkName.Buffer, EK: ek, Public: rsp.OutPublic.Bytes(), Private: rsp.OutPrivate.Buffer}, nil
}

// sealedTemplate is what the key's object is like: it never leaves this chip,
// and opens without a password.
var sealedTemplate = tpm2.TPMTPublic{
	Type:    tpm2.TPMAlgKeyedHash,
	NameAlg: tpm2.TPMAlgSHA256,
	ObjectAttributes: tpm2.TPMAObject{
		FixedTPM:     true,
		FixedParent:  true,
		UserWithAuth: true,
		NoDA:         true,
	},
}

// unseal opens a sealed object.
func (c *chip) unseal(ctx context.Context, b tpmBlob) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, c.t.trouble("已取消。", err)
	}
	obj, err := tpm2.Load{
		ParentHandle: tpm2.AuthHandle{Handle: c.srk, Name: c.srkName, Auth: tpm2.PasswordAuth(nil)},
		InPrivate:    tpm2.TPM2BPrivate{Buffer: b.Private},
		InPublic:     tpm2.BytesAs2B[tpm2.TPMTPublic](b.Public),
	}.Execute(c.tpm)
	if err != nil {
		return nil, c.fail("load the sealed key", err)
	}
	defer c.flush(obj.ObjectHandle)
	rsp, err := tpm2.Unseal{
		ItemHandle: tpm2.AuthHandle{Handle: obj.ObjectHandle, Name: obj.Name, Auth: c.session(tpm2.AESEncryption(128, tpm2.EncryptOut))},
	}.Execute(c.tpm)
	if err != nil {
		return nil, c.fail("unseal the key", err)
	}
	return rsp.OutData.Buffer, nil
}

// endorsement names the chip's endorsement key, which clearing does not change.
func (c *chip) endorsement() ([]byte, error) {
	rsp, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHEndorsement, InPublic: tpm2.New2B(tpm2.ECCEKTemplate)}.Execute(c.tpm)
	if err != nil {
		return nil, err
	}
	c.flush(rsp.ObjectHandle)
	return rsp.Name.Buffer, nil
}

// stranger tells a chip that was cleared from another chip: both lost the
// storage key, and only the other chip has another endorsement key.
func (c *chip) stranger(b tpmBlob) error {
	err := fmt.Errorf("storage key %x instead of %x", c.srkName.Buffer, b.SRK)
	ek, e := c.endorsement()
	switch {
	case e == nil && len(b.EK) > 0 && bytes.Equal(ek, b.EK):
		return c.t.trouble("安全芯片被清空过，封在里面的密钥没有了。请用另存的备份密钥打开，再删掉封存文件重新封存；没有备份的，请马上联系县里。",
			fmt.Errorf("the chip was cleared: %w", err))
	case e == nil && len(b.EK) > 0:
		return c.t.trouble("这不是封存密钥的那块安全芯片：主板换过，或硬盘装到了别的机器上。请装回原来的机器；换过主板的，请用另存的备份密钥打开，再删掉封存文件重新封存。",
			fmt.Errorf("another chip: %w", err))
	}
	return c.t.trouble("这不是封存密钥的那块安全芯片，或芯片被清空过。请装回原来的机器；不行的，请用另存的备份密钥打开，再删掉封存文件重新封存。",
		fmt.Errorf("another chip, or a cleared one: %w", errors.Join(err, e)))
}

// fail gives an answer of the chip its words.
func (c *chip) fail(what string, err error) error {
	text := "安全芯片没有正常回答。请重启终端；还是不行，请找技术员。"
	switch {
	case errors.Is(err, tpm2.TPMRCLockout):
		text = "安全芯片因为有人多次输错口令，暂时锁住了。请开着机等它自己解开（几分钟到一天），不要清空芯片。"
	case errors.Is(err, tpm2.TPMRCIntegrity), errors.Is(err, tpm2.TPMRCSize), errors.Is(err, tpm2.TPMRCValue),
		errors.Is(err, tpm2.TPMRCInsufficient), errors.Is(err, tpm2.TPMRCScheme), errors.Is(err, tpm2.TPMRCAttributes),
		errors.Is(err, tpm2.TPMRCType), errors.Is(err, tpm2.TPMRCHash), errors.Is(err, tpm2.TPMRCKDF), errors.Is(err, tpm2.TPMRCSensitive):
		text = "安全芯片不认封存的密钥，文件坏了。请换上它的备份；没有备份，请用另存的备份密钥打开，再删掉这个文件重新封存。"
	case errors.Is(err, tpm2.TPMRCBadAuth), errors.Is(err, tpm2.TPMRCAuthFail), errors.Is(err, tpm2.TPMRCAuthMissing):
		text = "安全芯片设了所有者口令，终端用不了它。请去掉口令，或在配置文件的 keys 里换用别的来源。"
	case errors.Is(err, tpm2.TPMRCInitialize), errors.Is(err, tpm2.TPMRCFailure), errors.Is(err, tpm2.TPMRCDisabled):
		text = "安全芯片没有准备好。请关机断电一分钟再开；还是不行，请找技术员。"
	case errors.Is(err, tpm2.TPMRCObjectMemory), errors.Is(err, tpm2.TPMRCSessionMemory), errors.Is(err, tpm2.TPMRCMemory):
		text = "安全芯片被别的程序占满了。请重启终端。"
	}
	return c.t.trouble(text, fmt.Errorf("%s: %w", what, err))
}
