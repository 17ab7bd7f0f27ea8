package hold

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// injector sends packets of our own from the namespace in which it was opened, with a mark that our rule excludes.
type injector struct{ fd int }

func newInjector(mark uint32) (*injector, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return nil, fmt.Errorf("raw socket to inject packets: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, int(mark)); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("raw socket to inject packets: mark %#x: %w", mark, err)
	}
	return &injector{fd}, nil
}

func (i *injector) send(b []byte) error {
	f, err := ParseFlow(b)
	if err != nil {
		return fmt.Errorf("injecting a packet: %w", err)
	}
	if err := unix.Sendto(i.fd, b, unix.MSG_DONTWAIT, &unix.SockaddrInet4{Addr: dst4(f.Dst)}); err != nil {
		return fmt.Errorf("injecting %s: %w", f, err)
	}
	return nil
}

func dst4(a netip.AddrPort) [4]byte { return a.Addr().As4() }

func (i *injector) close() error { return unix.Close(i.fd) }
