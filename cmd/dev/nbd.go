package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The NBD protocol as far as qemu speaks it to a server with one disk: fixed
// newstyle negotiation with NBD_OPT_GO, simple replies
// (https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md).
const (
	nbdMagic       = 0x4e42444d41474943 // "NBDMAGIC"
	nbdOption      = 0x49484156454f5054 // "IHAVEOPT"
	nbdOptionReply = 0x0003e889045565a9
	nbdRequest     = 0x25609513
	nbdReply       = 0x67446698

	nbdFixedNewstyle = 1 << 0 // flags of the handshake
	nbdNoZeroes      = 1 << 1

	nbdOptExportName = 1 // options
	nbdOptAbort      = 2
	nbdOptGo         = 7

	nbdRepAck     = 1 // replies to options
	nbdRepInfo    = 3
	nbdRepUnknown = 1<<31 | 1

	nbdInfoExport = 0 // the one information that is given

	nbdHasFlags  = 1 << 0 // flags of a disk
	nbdSendFlush = 1 << 2

	nbdRead       = 0 // requests
	nbdWrite      = 1
	nbdDisconnect = 2
	nbdFlush      = 3

	nbdInvalid = 22 // the error EINVAL

	nbdMaxOption = 64 << 10 // bytes of an option's data
	nbdMaxData   = 32 << 20 // bytes of one read or write, the protocol's limit
)

// It offers no FUA (a write that is safe when it is answered): qemu then sends
// a flush after such a write.

// serveNBD lends a disk to the computer at the other end of conn, one request
// after the other in the order in which they come. It returns nil when that
// computer goes, and errPowerOff when the disk's power does: the request under
// way is never answered. Closing conn ends it.
func serveNBD(conn io.ReadWriter, d *plugDisk) error {
	s := nbdServer{in: bufio.NewReader(conn), out: conn, disk: d}
	more, err := s.negotiate()
	for err == nil && more {
		more, err = s.serve()
	}
	switch {
	case err == nil, errors.Is(err, io.EOF):
		return nil
	case errors.Is(err, errPowerOff):
		return errPowerOff
	}
	return fmt.Errorf("nbd: %w", err)
}

type nbdServer struct {
	in   *bufio.Reader
	out  io.Writer
	disk *plugDisk
}

func (s *nbdServer) read(v any) error { return binary.Read(s.in, binary.BigEndian, v) }

// send writes fixed-size values, and bytes as they are, at once.
func (s *nbdServer) send(parts ...any) error {
	var b []byte
	for _, p := range parts {
		var err error
		if b, err = binary.Append(b, binary.BigEndian, p); err != nil {
			return err
		}
	}
	_, err := s.out.Write(b)
	return err
}

// negotiate answers options until the client begins (true) or gives up (false).
func (s *nbdServer) negotiate() (begin bool, err error) {
	if err := s.send(uint64(nbdMagic), uint64(nbdOption), uint16(nbdFixedNewstyle|nbdNoZeroes)); err != nil {
		return false, err
	}
	var clientFlags uint32
	if err := s.read(&clientFlags); err != nil {
		return false, err
	}
	for {
		var h struct {
			Magic       uint64
			Option, Len uint32
		}
		if err := s.read(&h); err != nil {
			return false, err
		}
		if h.Magic != nbdOption || h.Len > nbdMaxOption {
			return false, fmt.Errorf("not an option: %x with %d bytes", h.Magic, h.Len)
		}
		// What it says, such as the disk's name, changes no answer.
		if _, err := s.in.Discard(int(h.Len)); err != nil {
			return false, err
		}
		reply := func(kind uint32, data ...byte) error {
			return s.send(uint64(nbdOptionReply), h.Option, kind, uint32(len(data)), data)
		}
		switch h.Option {
		case nbdOptGo:
			info := binary.BigEndian.AppendUint16(nil, nbdInfoExport)
			info = binary.BigEndian.AppendUint64(info, uint64(s.disk.size()))
			info = binary.BigEndian.AppendUint16(info, nbdHasFlags|nbdSendFlush)
			return true, errors.Join(reply(nbdRepInfo, info...), reply(nbdRepAck))
		case nbdOptAbort:
			return false, reply(nbdRepAck)
		case nbdOptExportName: // it has no answer that says no
			return false, errors.New("a client that does not know NBD_OPT_GO")
		default:
			if err := reply(nbdRepUnknown); err != nil {
				return false, err
			}
		}
	}
}

// serve answers one request; false when the client says good-bye.
func (s *nbdServer) serve() (more bool, err error) {
	var r struct {
		Magic       uint32
		Flags, Type uint16
		Handle      uint64
		Off         uint64
		Len         uint32
	}
	if err := s.read(&r); err != nil {
		return false, err
	}
	if r.Magic != nbdRequest || r.Len > nbdMaxData {
		return false, fmt.Errorf("not a request: %x with %d bytes", r.Magic, r.Len)
	}
	var data []byte
	if r.Type == nbdRead || r.Type == nbdWrite {
		data = make([]byte, r.Len)
	}
	var answer []byte
	switch r.Type {
	case nbdRead:
		err = s.disk.read(data, int64(r.Off))
		answer = data
	case nbdWrite:
		if _, err := io.ReadFull(s.in, data); err != nil {
			return false, err
		}
		err = s.disk.write(data, int64(r.Off))
	case nbdFlush:
		err = s.disk.flush()
	case nbdDisconnect:
		return false, nil
	default:
		err = fmt.Errorf("request %d", r.Type)
	}
	switch {
	case errors.Is(err, errPowerOff):
		return false, err
	case err != nil: // the client's fault
		return true, s.send(uint32(nbdReply), uint32(nbdInvalid), r.Handle)
	}
	return true, s.send(uint32(nbdReply), uint32(0), r.Handle, answer)
}
