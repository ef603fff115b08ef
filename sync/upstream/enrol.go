package upstream

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"cunban/kiosk/seal"
	"cunban/sync/wire"
)

// NewTerminal is what the county says of a terminal when it makes a code.
type NewTerminal struct {
	Serial  string
	Region  string // 12-digit code of the service point
	Village string
	Name    string // of the service point, for headings
	Demo    bool
}

// ErrBadTerminal says what of a NewTerminal cannot be.
var ErrBadTerminal = errors.New("终端信息不对")

// enrolPoll is what a terminal is asked to wait while a person has to say yes.
const enrolPoll = 5 * time.Second

// EnrolCode makes a one-time code. The secret is in the returned code only.
// by is the account that asked for it, for the audit.
func (c *County) EnrolCode(ctx context.Context, t NewTerminal, by string) (wire.EnrolCode, Code, error) {
	switch {
	case !wire.ValidTerminal(t.Serial):
		return wire.EnrolCode{}, Code{}, fmt.Errorf("%w：序列号 %q 只能用字母、数字、点和短横", ErrBadTerminal, t.Serial)
	case len(t.Region) != 12 || !digits(t.Region):
		return wire.EnrolCode{}, Code{}, fmt.Errorf("%w：服务点区划代码 %q 要 12 位数字", ErrBadTerminal, t.Region)
	case t.Village == "":
		return wire.EnrolCode{}, Code{}, fmt.Errorf("%w：请写村（社区）名称", ErrBadTerminal)
	}
	if t.Name == "" {
		t.Name = t.Village + "社保服务点"
	}
	code, err := wire.NewEnrolCode(c.o.Rand, c.o.Keys.CA)
	if err != nil {
		return wire.EnrolCode{}, Code{}, err
	}
	now := c.now()
	row := Code{SecretHash: secretHash(t.Serial, code.Secret), Serial: t.Serial, Region: t.Region, Village: t.Village,
		Name: t.Name, Demo: t.Demo, CreatedAt: now, ExpiresAt: now.Add(wire.CodeLifetime), State: CodeOpen}
	err = c.o.Store.Update(ctx, func(tx Tx) error {
		if err := tx.PutCode(row); err != nil {
			return err
		}
		return tx.AddAudit(Audit{At: now, By: by, What: "enrol.code", Object: t.Serial})
	})
	return code, row, err
}

func digits(s string) bool {
	for _, r := range s {
		if r < '0' || r > '9' {
			return false
		}
	}
	return s != ""
}

func secretHash(serial, secret string) string {
	return hex.EncodeToString(seal.Digest(seal.AAD("cunban enrol code", serial, secret)))
}

// parseCSR checks a request: ECDSA P-256, signed by its key, with the subject
// that is asked for.
func parseCSR(der []byte, subject string) (*x509.CertificateRequest, *wire.Problem) {
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, wire.NewProblem(wire.CodeBadCSR, err.Error())
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, wire.NewProblem(wire.CodeBadCSR, err.Error())
	}
	if k, ok := csr.PublicKey.(*ecdsa.PublicKey); !ok || k.Curve != elliptic.P256() {
		return nil, wire.NewProblem(wire.CodeBadCSR, "key is not ECDSA P-256")
	}
	if csr.Subject.CommonName != subject {
		return nil, wire.NewProblem(wire.CodeBadCSR, fmt.Sprintf("subject is %q, not %q", csr.Subject.CommonName, subject))
	}
	return csr, nil
}

// Enrol answers simpleenroll: a certificate, or nil while a person has to say
// yes. Errors are *wire.Problem when they are for the terminal.
func (c *County) Enrol(ctx context.Context, serial, secret string, der []byte) (*x509.Certificate, error) {
	if !wire.ValidTerminal(serial) {
		return nil, wire.NewProblem(wire.CodeCodeWrong, "serial number")
	}
	if left := c.tries.shut("enrol/" + serial); left > 0 {
		return nil, wire.NewProblem(wire.CodeRateLimited, "too many wrong codes").WithRetry(left)
	}
	csr, problem := parseCSR(der, serial)
	if problem != nil {
		return nil, problem
	}
	sum := sha256.Sum256(csr.RawSubjectPublicKeyInfo)
	keyHash := hex.EncodeToString(sum[:])
	var cert *x509.Certificate
	err := c.o.Store.Update(ctx, func(tx Tx) error {
		cert = nil
		code, err := tx.Code(serial, secretHash(serial, secret))
		if errors.Is(err, ErrNotFound) {
			return wire.NewProblem(wire.CodeCodeWrong, "")
		}
		if err != nil {
			return err
		}
		now := c.now()
		if code.KeyHash != "" && code.KeyHash != keyHash {
			return wire.NewProblem(wire.CodeCodeUsed, "another key")
		}
		switch code.State {
		case CodeOpen:
			if now.After(code.ExpiresAt) {
				return wire.NewProblem(wire.CodeCodeExpired, "")
			}
			code.KeyHash, code.UsedAt, code.State = keyHash, now, CodeWaiting
			if c.o.AutoApprove {
				code.State, code.By = CodeApproved, "auto"
			}
			if err := tx.PutCode(code); err != nil {
				return err
			}
			if code.State == CodeWaiting {
				return nil
			}
			cert, err = c.give(tx, code, csr, now)
			return err
		case CodeWaiting:
			return nil
		case CodeApproved:
			cert, err = c.give(tx, code, csr, now)
			return err
		case CodeIssued:
			// The answer got lost: the same certificate again, for a day.
			if now.After(code.UsedAt.Add(wire.CodeLifetime)) && now.After(code.ExpiresAt) {
				return wire.NewProblem(wire.CodeCodeUsed, "used up")
			}
			cert, err = x509.ParseCertificate(code.Cert)
			return err
		case CodeRefused:
			return wire.NewProblem(wire.CodeRefused, "")
		}
		return fmt.Errorf("enrolment code in unknown state %q", code.State)
	})
	var p *wire.Problem
	switch {
	case errors.As(err, &p) && p.Code == wire.CodeCodeWrong:
		c.tries.wrong("enrol/" + serial)
	case err == nil:
		c.tries.right("enrol/" + serial)
	}
	return cert, err
}

// give makes the terminal and its certificate. A serial number that was here
// before keeps its id, so that its cases stay its own.
func (c *County) give(tx Tx, code Code, csr *x509.CertificateRequest, now time.Time) (*x509.Certificate, error) {
	t, err := tx.TerminalBySerial(code.Serial)
	switch {
	case errors.Is(err, ErrNotFound):
		n, err := tx.Counter("terminal/" + code.Region)
		if err != nil {
			return nil, err
		}
		t = Terminal{ID: fmt.Sprintf("%s-%02d", code.Region, n), Serial: code.Serial}
	case err != nil:
		return nil, err
	}
	cert, err := c.o.Keys.issue(c.o.Rand, now, t.ID, csr)
	if err != nil {
		return nil, err
	}
	t.Region, t.Village, t.Name, t.Demo, t.EnrolledAt, t.CertUntil = code.Region, code.Village, code.Name, code.Demo, now, cert.NotAfter
	if !t.RevokedAt.IsZero() {
		t.RevokedAt, t.Reason = time.Time{}, ""
		if _, err := c.publish(tx, wire.KindRevoke, t.ID, t.ID, true, nil, now); err != nil {
			return nil, err
		}
	}
	if err := tx.PutTerminal(t); err != nil {
		return nil, err
	}
	code.State, code.Terminal, code.Cert = CodeIssued, t.ID, cert.Raw
	if err := tx.PutCode(code); err != nil {
		return nil, err
	}
	return cert, tx.AddAudit(Audit{At: now, By: code.By, What: "enrol.issue", Object: t.ID, Detail: cert.SerialNumber.Text(16)})
}

// Renew answers simplereenroll for a terminal whose certificate was checked.
func (c *County) Renew(ctx context.Context, terminal string, der []byte) (*x509.Certificate, error) {
	csr, problem := parseCSR(der, terminal)
	if problem != nil {
		return nil, problem
	}
	now := c.now()
	cert, err := c.o.Keys.issue(c.o.Rand, now, terminal, csr)
	if err != nil {
		return nil, err
	}
	err = c.o.Store.Update(ctx, func(tx Tx) error {
		t, err := tx.Terminal(terminal)
		if err != nil {
			return err
		}
		t.CertUntil = cert.NotAfter
		if err := tx.PutTerminal(t); err != nil {
			return err
		}
		return tx.AddAudit(Audit{At: now, What: "enrol.renew", Object: terminal, Detail: cert.SerialNumber.Text(16)})
	})
	return cert, err
}

// ErrNotWaiting means that the code is not waiting for a person.
var ErrNotWaiting = errors.New("this enrolment is not waiting")

// Approve lets a waiting enrolment pass or refuses it.
func (c *County) Approve(ctx context.Context, serial, hash string, yes bool, by string) error {
	return c.o.Store.Update(ctx, func(tx Tx) error {
		code, err := tx.Code(serial, hash)
		if err != nil {
			return err
		}
		if code.State != CodeWaiting {
			return ErrNotWaiting
		}
		what := "enrol.approve"
		code.State, code.By = CodeApproved, by
		if !yes {
			what, code.State = "enrol.refuse", CodeRefused
		}
		if err := tx.PutCode(code); err != nil {
			return err
		}
		return tx.AddAudit(Audit{At: c.now(), By: by, What: what, Object: serial})
	})
}

// Codes lists the enrolment codes, newest first.
func (c *County) Codes(ctx context.Context) (out []Code, err error) {
	err = c.o.Store.View(ctx, func(tx Tx) error { out, err = tx.Codes(); return err })
	return out, err
}

// Revoke switches a terminal off (reason) or on again (reason "").
func (c *County) Revoke(ctx context.Context, terminal, reason, by string) error {
	err := c.o.Store.Update(ctx, func(tx Tx) error {
		t, err := tx.Terminal(terminal)
		if err != nil {
			return err
		}
		now := c.now()
		t.RevokedAt, t.Reason = time.Time{}, ""
		var data []byte
		what := "terminal.restore"
		if reason != "" {
			what, t.RevokedAt, t.Reason = "terminal.revoke", now, reason
			if data, err = marshal(wire.Revocation{Reason: reason, At: now}); err != nil {
				return err
			}
		}
		if err := tx.PutTerminal(t); err != nil {
			return err
		}
		if _, err := c.publish(tx, wire.KindRevoke, t.ID, t.ID, reason == "", data, now); err != nil {
			return err
		}
		return tx.AddAudit(Audit{At: now, By: by, What: what, Object: terminal, Detail: reason})
	})
	if err == nil {
		c.hub.wake()
	}
	return err
}

// Terminal returns one terminal.
func (c *County) Terminal(ctx context.Context, id string) (t Terminal, err error) {
	err = c.o.Store.View(ctx, func(tx Tx) error { t, err = tx.Terminal(id); return err })
	return t, err
}

// Terminals lists them.
func (c *County) Terminals(ctx context.Context) (out []Terminal, err error) {
	err = c.o.Store.View(ctx, func(tx Tx) error { out, err = tx.Terminals(); return err })
	return out, err
}

// Identity is what a terminal is told about itself.
func (c *County) Identity(t Terminal) wire.Identity {
	return wire.Identity{ID: t.ID, Serial: t.Serial, Region: t.Region, Village: t.Village, Name: t.Name,
		EnrolledAt: t.EnrolledAt, Demo: t.Demo, Settings: c.o.Settings,
		SealKey: string(c.o.Keys.Seal[0].Public().PEM()), SignKey: string(c.o.Keys.Sign.Public().PEM())}
}

// caller checks a client certificate by hand, so that an expired one gets a
// plain answer instead of a broken handshake; the handshake has proved that
// the client owns its key.
func (c *County) caller(chain []*x509.Certificate) (id string, expired bool, ok bool) {
	if len(chain) == 0 {
		return "", false, false
	}
	leaf := chain[0]
	if bytes.Equal(leaf.Raw, c.o.Keys.CA.Raw) || leaf.IsCA {
		return "", false, false
	}
	now := c.now()
	at := now
	if now.After(leaf.NotAfter) {
		at, expired = leaf.NotAfter, true
	}
	roots := x509.NewCertPool()
	roots.AddCert(c.o.Keys.CA)
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: at,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		return "", false, false
	}
	return leaf.Subject.CommonName, expired, true
}
