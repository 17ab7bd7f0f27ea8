package nfnl

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// messagePacket is the message that carries a packet: NFULNL_MSG_PACKET and NFQNL_MSG_PACKET.
const messagePacket = 0

// messageRoom is for what a message has beside the packet.
const messageRoom = 4096

// Config describes a socket.
type Config struct {
	// Name is what errors call the number: queue, log group.
	Name string
	// Subsystem is one of NFNL_SUBSYS_*, Number that of the queue or group.
	Subsystem, Number uint16
	// CopyRange is how many bytes of each packet are copied to user space, ReadBuffer the size of the socket's receive buffer.
	CopyRange, ReadBuffer int
	// Configure is the subsystem's message that sets it up. It is sent once for each step.
	Configure uint16
	Steps     []Step
}

// Step is one request of the set-up.
type Step struct {
	Name       string
	Attributes []netlink.Attribute
}

// Socket is bound to one queue or group. Receive is for one goroutine at a time, everything else for any.
type Socket struct {
	*netlink.Conn
	config  Config
	name    string
	raw     syscall.RawConn
	pending []netlink.Message

	closed  atomic.Bool
	closing sync.Once
	err     error
}

// Open opens the socket in the network namespace of the calling thread and sets it up.
func Open(ctx context.Context, c Config) (*Socket, error) {
	name := fmt.Sprintf("%s %d", c.Name, c.Number)
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{MessageBufferSize: c.CopyRange + messageRoom})
	if err != nil {
		return nil, fmt.Errorf("%s: netlink socket: %w", name, err)
	}
	s := &Socket{Conn: conn, config: c, name: name}
	if err := s.setUp(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), s.Close())
	}
	return s, nil
}

func (s *Socket) setUp(ctx context.Context) (err error) {
	defer Bound(ctx, s.Conn)()
	if s.raw, err = s.SyscallConn(); err != nil {
		return err
	}
	if err := s.growBuffer(); err != nil {
		return fmt.Errorf("receive buffer of %d bytes: %w", s.config.ReadBuffer, err)
	}
	for _, step := range s.config.Steps {
		if err := s.request(step.Attributes); err != nil {
			return fmt.Errorf("%s: %w", step.Name, err)
		}
	}
	return ctx.Err()
}

// growBuffer prefers SO_RCVBUFFORCE, which may exceed net.core.rmem_max and needs CAP_NET_ADMIN in the first user namespace.
func (s *Socket) growBuffer() error {
	var forced error
	if err := s.raw.Control(func(fd uintptr) {
		forced = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, s.config.ReadBuffer)
	}); err != nil || forced == nil {
		return err
	}
	return s.SetReadBuffer(s.config.ReadBuffer)
}

// request sends one request and waits for its answer. Packets that arrive in between are kept for Receive.
func (s *Socket) request(attributes []netlink.Attribute) error {
	data, err := netlink.MarshalAttributes(attributes)
	if err != nil {
		return err
	}
	if _, err := s.Send(s.Message(s.config.Configure, netlink.Acknowledge, data)); err != nil {
		return err
	}
	for {
		msgs, err := s.Conn.Receive()
		if err != nil {
			return err
		}
		s.keep(msgs)
		for _, m := range msgs {
			if m.Header.Type == netlink.Error {
				return nil // an answer without an error is the acknowledgement
			}
		}
	}
}

// Message is a request about the socket's queue or group.
func (s *Socket) Message(message uint16, flags netlink.HeaderFlags, attributes []byte) netlink.Message {
	return Message(s.config.Subsystem, message, flags, unix.AF_UNSPEC, s.config.Number, attributes)
}

func (s *Socket) keep(msgs []netlink.Message) {
	for _, m := range msgs {
		if m.Header.Type == netlink.HeaderType(s.config.Subsystem<<8|messagePacket) {
			s.pending = append(s.pending, m)
		}
	}
}

// Receive waits for the next packet and returns its attributes. It goes on when the kernel says that the receive buffer was full. After
// Close its error is [net.ErrClosed].
func (s *Socket) Receive() (*netlink.AttributeDecoder, error) {
	for len(s.pending) == 0 {
		msgs, err := s.Conn.Receive()
		switch {
		case s.closed.Load():
			return nil, fmt.Errorf("%s: %w", s.name, net.ErrClosed)
		case errors.Is(err, unix.ENOBUFS):
			continue
		case err != nil:
			return nil, fmt.Errorf("%s: receive: %w", s.name, err)
		}
		s.keep(msgs)
	}
	m := s.pending[0]
	s.pending = s.pending[1:]
	attributes, err := Attributes(m)
	if err != nil {
		return nil, fmt.Errorf("%s: packet: %w", s.name, err)
	}
	return attributes, nil
}

// Ready reports whether Receive would find something at once.
func (s *Socket) Ready() bool {
	ready := len(s.pending) > 0
	if ready {
		return true
	}
	_ = s.raw.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, 0)
		ready = err == nil && n > 0 && fds[0].Revents&unix.POLLIN != 0
	})
	return ready
}

// Close unbinds the number and ends a waiting Receive. Idempotent.
func (s *Socket) Close() error {
	s.closing.Do(func() {
		s.closed.Store(true)
		if err := s.Conn.Close(); err != nil {
			s.err = fmt.Errorf("%s: close: %w", s.name, err)
		}
	})
	return s.err
}
