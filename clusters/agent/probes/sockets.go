package probes

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
)

// dialer opens the sockets of attempts, each with the next port of a range of its own. Chosen by the kernel by chance, a port comes again
// soon enough to meet the conntrack entry of its last use, in one of some thousand attempts. And while lookups leave their pod only a few
// ports to choose from, which can last on a busy machine, other probes would use these up.
func dialer() net.Dialer { return net.Dialer{ControlContext: bindNext} }

type portsKey struct{}

// withPorts tells the sockets of an attempt whose ports they share.
func withPorts(ctx context.Context, ports *freshPorts) context.Context {
	return context.WithValue(ctx, portsKey{}, ports)
}

func bindNext(ctx context.Context, network, _ string, conn syscall.RawConn) error {
	ports, _ := ctx.Value(portsKey{}).(*freshPorts)
	if ports == nil || !strings.HasSuffix(network, "4") {
		return nil
	}
	return onSocket(conn, ports.bind)
}

// onSocket does something to a connection's socket.
func onSocket(conn syscall.RawConn, do func(fd int) error) error {
	var done error
	err := conn.Control(func(fd uintptr) { done = do(int(fd)) })
	return errors.Join(err, done)
}

// The ports of sockets. With 40 attempts per second they come again after more than two minutes, when the kernel has forgotten them: so long
// lives the conntrack entry of a closed connection (nf_conntrack_tcp_timeout_time_wait), and one of UDP no longer.
const (
	firstSocket = firstOther
	lastSocket  = lastOther
)

// bind binds a socket to the next port that nobody uses.
func (f *freshPorts) bind(fd int) error {
	f.using.Lock()
	defer f.using.Unlock()
	for range lastSocket - firstSocket + 1 {
		port := firstSocket + f.used%(lastSocket-firstSocket+1)
		f.used++
		if err := syscall.Bind(fd, &syscall.SockaddrInet4{Port: port}); !errors.Is(err, syscall.EADDRINUSE) {
			return err
		}
	}
	return fmt.Errorf("all ports from %d to %d are in use", firstSocket, lastSocket)
}
