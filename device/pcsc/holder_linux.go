package pcsc

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// The kernel's socket monitoring for unix sockets, sock_diag(7) and
// linux/unix_diag.h; x/sys has only the family's request number.
const (
	diagShowName = 0x01
	diagShowPeer = 0x04
	diagShowUID  = 0x40

	diagName = 0 // attributes of an answer
	diagPeer = 2
	diagUID  = 7

	diagReqSize = 24 // struct unix_diag_req
	diagMsgSize = 16 // struct unix_diag_msg
	diagInodeAt = 4  // of ino in struct unix_diag_msg
	diagBuffer  = 64 << 10
)

var errDiag = errors.New("kernel's answer about sockets is malformed")

// serviceClients asks the kernel who is connected to the unix socket at path.
func serviceClients(path string) ([]client, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_INET_DIAG)
	if err != nil {
		return nil, fmt.Errorf("ask for unix sockets: %w", err)
	}
	defer unix.Close(fd)
	limit := unix.NsecToTimeval(diagTimeout.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
		return nil, fmt.Errorf("ask for unix sockets: %w", err)
	}
	if err := unix.Sendto(fd, diagRequest(), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, fmt.Errorf("ask for unix sockets: %w", err)
	}
	var t diagTable
	buf := make([]byte, diagBuffer)
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err != nil {
			return nil, fmt.Errorf("ask for unix sockets: %w", err)
		}
		done, err := t.read(buf[:n], path)
		if err != nil {
			return nil, fmt.Errorf("ask for unix sockets: %w", err)
		}
		if done {
			return t.clients(), nil
		}
	}
}

func diagRequest() []byte {
	b := make([]byte, unix.SizeofNlMsghdr+diagReqSize)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], unix.SOCK_DIAG_BY_FAMILY)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	req := b[unix.SizeofNlMsghdr:]
	req[0] = unix.AF_UNIX
	binary.NativeEndian.PutUint32(req[4:], ^uint32(0)) // in any state
	binary.NativeEndian.PutUint32(req[12:], diagShowName|diagShowPeer|diagShowUID)
	return b
}

// diagTable gathers the peers of the service's sockets and everybody's user.
type diagTable struct {
	peers []uint32
	uid   map[uint32]uint32
}

func (t *diagTable) clients() []client {
	var out []client
	for _, p := range t.peers {
		out = append(out, client{inode: p, uid: t.uid[p]})
	}
	return out
}

// read takes one datagram; done tells that it was the last.
func (t *diagTable) read(b []byte, path string) (done bool, err error) {
	if t.uid == nil {
		t.uid = map[uint32]uint32{}
	}
	for len(b) >= unix.SizeofNlMsghdr {
		n := int(binary.NativeEndian.Uint32(b))
		if n < unix.SizeofNlMsghdr || n > len(b) {
			return false, errDiag
		}
		body := b[unix.SizeofNlMsghdr:n]
		switch binary.NativeEndian.Uint16(b[4:]) {
		case unix.NLMSG_DONE:
			return true, nil
		case unix.NLMSG_ERROR:
			if len(body) >= 4 {
				return false, unix.Errno(-int32(binary.NativeEndian.Uint32(body)))
			}
			return false, errDiag
		case unix.SOCK_DIAG_BY_FAMILY:
			if err := t.socket(body, path); err != nil {
				return false, err
			}
		}
		b = b[min(nlAlign(n), len(b)):]
	}
	return false, nil
}

// socket takes one socket: its own number, then attributes.
func (t *diagTable) socket(b []byte, path string) error {
	if len(b) < diagMsgSize {
		return errDiag
	}
	inode := binary.NativeEndian.Uint32(b[diagInodeAt:])
	var name []byte
	var peer uint32
	for b = b[diagMsgSize:]; len(b) >= unix.SizeofRtAttr; {
		n := int(binary.NativeEndian.Uint16(b))
		if n < unix.SizeofRtAttr || n > len(b) {
			return errDiag
		}
		value := b[unix.SizeofRtAttr:n]
		switch kind := binary.NativeEndian.Uint16(b[2:]); {
		case kind == diagName:
			name = bytes.TrimRight(value, "\x00")
		case kind == diagPeer && len(value) >= 4:
			peer = binary.NativeEndian.Uint32(value)
		case kind == diagUID && len(value) >= 4:
			t.uid[inode] = binary.NativeEndian.Uint32(value)
		}
		b = b[min(nlAlign(n), len(b)):]
	}
	if peer != 0 && string(name) == path {
		t.peers = append(t.peers, peer)
	}
	return nil
}

// nlAlign rounds up to netlink's four bytes.
func nlAlign(n int) int { return (n + unix.NLMSG_ALIGNTO - 1) &^ (unix.NLMSG_ALIGNTO - 1) }
