package probes

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// portRange is where the kernel keeps the source ports that it chooses from, in each network namespace.
const portRange = "/proc/sys/net/ipv4/ip_local_port_range"

// freshPorts gives attempts source ports that no attempt before had. A port that comes again within a conntrack time-out
// meets the entry of its last use, and so no race: chosen by chance from 28000 ports, that happens to one of some hundred attempts.
type freshPorts struct {
	mu   sync.Mutex
	next int
}

const (
	firstPort    = 10000
	lastPort     = 60000
	portsAtATime = 8
)

// ownPorts is how many ports attempts with ports of their own have: more than a run makes attempts.
const ownPorts = 10000

// ownPort is the port of an attempt, the same for all probes that begin with the same port.
func ownPort(first, number int) int { return first + number%ownPorts }

// begin remembers the range.
func (f *freshPorts) begin() (end func() error, err error) {
	before, err := os.ReadFile(portRange)
	if err != nil {
		return nil, err
	}
	return func() error { return os.WriteFile(portRange, before, 0o644) }, nil
}

// move makes the kernel choose from the next few ports.
func (f *freshPorts) move() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.next < firstPort || f.next+portsAtATime > lastPort {
		f.next = firstPort
	}
	text := fmt.Sprintf("%d %d", f.next, f.next+portsAtATime-1)
	f.next += portsAtATime
	return os.WriteFile(portRange, []byte(text), 0o644)
}

// startWith starts a process that opens one UDP socket while the kernel has one port to choose from, and returns when it has
// it, or has ended, so that another process may have the next one.
func (f *freshPorts) startWith(ctx context.Context, cmd *exec.Cmd, port int) (wait func() error, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := os.WriteFile(portRange, fmt.Appendf(nil, "%d %d", port, port), 0o644); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	wait = func() error { return <-ended }
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		open, err := udpPortOpen(port)
		if err != nil || open {
			return wait, err
		}
		select {
		case err := <-ended:
			ended <- err
			return wait, nil
		case <-ctx.Done():
			return wait, nil
		case <-tick.C:
		}
	}
}

// udpPortOpen says whether a socket of the namespace has a UDP port. Source: linux net/ipv4/udp.c (udp4_format_sock).
func udpPortOpen(port int) (bool, error) {
	text, err := os.ReadFile("/proc/net/udp")
	return strings.Contains(string(text), fmt.Sprintf(":%04X ", port)), err
}
