package probes

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
)

// dialer opens the sockets of attempts. While lookups leave their pod only a few ports to choose from, those sockets have ports outside of
// these: on a busy machine such a moment can last, and other probes would use the few ports up.
func dialer() net.Dialer { return net.Dialer{ControlContext: bindApart} }

type portsKey struct{}

// withPorts tells the sockets of an attempt whose ports they share.
func withPorts(ctx context.Context, ports *freshPorts) context.Context {
	return context.WithValue(ctx, portsKey{}, ports)
}

func bindApart(ctx context.Context, network, _ string, conn syscall.RawConn) error {
	ports, _ := ctx.Value(portsKey{}).(*freshPorts)
	if ports == nil || !strings.HasSuffix(network, "4") {
		return nil
	}
	var bind error
	err := conn.Control(func(fd uintptr) { bind = ports.apart(int(fd)) })
	return errors.Join(err, bind)
}

const (
	firstApart = 60001
	lastApart  = 62767
)

// apart binds a socket to a port that lookups do not get and that nobody uses, if lookups are being made.
func (f *freshPorts) apart(fd int) error {
	f.using.Lock()
	defer f.using.Unlock()
	if f.series == 0 {
		return nil
	}
	for range lastApart - firstApart + 1 {
		port := firstApart + f.used%(lastApart-firstApart+1)
		f.used++
		if err := syscall.Bind(fd, &syscall.SockaddrInet4{Port: port}); !errors.Is(err, syscall.EADDRINUSE) {
			return err
		}
	}
	return fmt.Errorf("all ports from %d to %d are in use", firstApart, lastApart)
}
