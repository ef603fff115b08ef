package keys

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"cunban/kiosk/seal"
	"cunban/kiosk/vault/cryptfile"
)

// A key file is one line of text: the magic word, a space, the key in hex, a
// space, and the first four bytes of the key's SM3 in hex, by which a damaged
// file is told from a wrong one.
const (
	fileMagic = "cunban-disk-key-1"
	fileCheck = 4
	maxFile   = 256 // bytes
	fileMode  = 0o600
)

// NameFile is the configured word of File.
const NameFile = "file"

// File keeps the key in a file of mode 0600 beside the system. It protects
// only against copying the database alone.
type File struct {
	Path string
	Rand io.Reader
}

// Name implements Source.
func (f File) Name() string { return NameFile }

// Strength implements Strengther.
func (f File) Strength() string {
	return "密钥在本机文件里：只能防止单独拷走数据库；整块硬盘被拷走或整机被盗时不能保护。"
}

// Load implements Source. A file that its group or others may read is
// refused: the key is to be thought known.
func (f File) Load(context.Context) ([]byte, error) { return readKeyFile(NameFile, f.Path, true) }

// Create implements Source. The folder must exist or its parent must be
// writable; the write is atomic and durable.
func (f File) Create(context.Context) ([]byte, error) {
	if err := makeFolder(filepath.Dir(f.Path)); err != nil {
		return nil, &Trouble{NameFile, "建不了密钥文件的文件夹，请检查权限。", err}
	}
	return createKeyFile(NameFile, f.Path, f.Rand)
}

// makeFolder makes the folder of a key so that it outlasts a power cut: with a
// vault and without its key, everything in it would be lost.
func makeFolder(dir string) error { return cryptfile.MakeDir(cryptfile.OS{}, dir) }

// readKeyFile reads a key file; strict demands that only its owner can read
// it, which file systems of sticks do not know.
func readKeyFile(source, path string, strict bool) ([]byte, error) {
	st, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("key source %s: %s: %w", source, path, ErrNoKey)
	case err != nil:
		return nil, &Trouble{source, "读不了密钥文件，请检查权限。", err}
	case !st.Mode().IsRegular():
		return nil, &Trouble{source, "密钥的位置上不是普通文件，请找技术员。", fmt.Errorf("%s is %v", path, st.Mode())}
	case strict && readableByOthers(st):
		return nil, &Trouble{source, "密钥文件别的用户也能读，已拒绝使用。请把权限改为 0600，并考虑换密钥。",
			fmt.Errorf("%s has mode %v", path, st.Mode().Perm())}
	}
	fd, err := os.Open(path)
	if err != nil {
		return nil, &Trouble{source, "打不开密钥文件，请检查权限。", err}
	}
	defer fd.Close() //nolint:errcheck // only read
	text, err := io.ReadAll(io.LimitReader(fd, maxFile+1))
	defer clear(text)
	if err != nil {
		return nil, &Trouble{source, "密钥文件读到一半出错，请检查存储介质。", err}
	}
	key, err := parseKeyFile(text)
	if err != nil {
		return nil, &Trouble{source, "密钥文件坏了。请用备份的密钥文件换上，不要重新生成。", err}
	}
	return key, nil
}

// parseKeyFile takes what formatKeyFile wrote. The error never holds the text.
func parseKeyFile(text []byte) ([]byte, error) {
	rest, ok := bytes.CutPrefix(text, []byte(fileMagic+" "))
	rest, end := bytes.CutSuffix(rest, []byte("\n"))
	if !ok || !end || len(rest) != 2*Size+1+2*fileCheck || rest[2*Size] != ' ' {
		return nil, fmt.Errorf("%w: not a key file", seal.ErrKey)
	}
	key, check := make([]byte, Size), make([]byte, fileCheck)
	_, err1 := hex.Decode(key, rest[:2*Size])
	_, err2 := hex.Decode(check, rest[2*Size+1:])
	if err1 != nil || err2 != nil || !seal.Equal(check, seal.Digest(key)[:fileCheck]) {
		clear(key)
		return nil, fmt.Errorf("%w: damaged key file", seal.ErrKey)
	}
	return key, nil
}

func formatKeyFile(key []byte) []byte {
	b := make([]byte, 0, maxFile) // never grown, so that one clear wipes it
	b = append(b, fileMagic...)
	b = append(b, ' ')
	b = hex.AppendEncode(b, key)
	b = append(b, ' ')
	b = hex.AppendEncode(b, seal.Digest(key)[:fileCheck])
	return append(b, '\n')
}

// createKeyFile makes a key and writes it beside its place first, so that
// there is a whole key or none after a power cut. An existing one is left.
func createKeyFile(source, path string, rand io.Reader) ([]byte, error) {
	if _, err := os.Lstat(path); err == nil {
		return nil, fmt.Errorf("key source %s: %s: %w", source, path, ErrExists)
	}
	key := make([]byte, Size)
	if _, err := io.ReadFull(rand, key); err != nil {
		return nil, &Trouble{source, "取不到随机数，请重启终端。", err}
	}
	text := formatKeyFile(key)
	defer clear(text)
	if err := writeNew(path, text); err != nil {
		clear(key)
		if errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("key source %s: %s: %w", source, path, ErrExists)
		}
		return nil, &Trouble{source, "写不了密钥文件，请检查权限和剩余空间。", err}
	}
	return key, nil
}

// WriteFile writes a key to a key file of its own, which must not be there yet;
// File and USB read it. Errors: ErrExists, ErrSource.
func WriteFile(path string, key []byte) error {
	text := formatKeyFile(key)
	defer clear(text)
	err := writeNew(path, text)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("write the key to %s: %w", path, ErrExists)
	}
	if err != nil {
		return &Trouble{NameFile, "写不了密钥文件，请检查U盘是否插好、有没有写保护和剩余空间。", err}
	}
	return nil
}

// writeNew writes a file that must not exist yet: temporary file, fsync, link
// (which never replaces), fsync of the folder.
func writeNew(path string, text []byte) (err error) {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, "."+strings.TrimPrefix(filepath.Base(path), ".")+".*")
	if err != nil {
		return fmt.Errorf("make a temporary file: %w", err)
	}
	defer func() {
		if e := os.Remove(tmp.Name()); err == nil && e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = fmt.Errorf("remove the temporary file: %w", e)
		}
	}()
	err = errors.Join(tmp.Chmod(fileMode), write(tmp, text), tmp.Sync(), tmp.Close())
	if err != nil {
		return fmt.Errorf("write %s: %w", tmp.Name(), err)
	}
	if err := os.Link(tmp.Name(), path); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("put the key in its place: %w", err)
		}
		// FAT knows no links. The vault's lock keeps a second writer away.
		if _, e := os.Lstat(path); !errors.Is(e, fs.ErrNotExist) {
			return fmt.Errorf("put the key in its place: %w", fs.ErrExist)
		}
		if err := os.Rename(tmp.Name(), path); err != nil {
			return fmt.Errorf("put the key in its place: %w", err)
		}
	}
	return syncDir(dir)
}

func write(w io.Writer, b []byte) error {
	_, err := w.Write(b)
	return err
}
