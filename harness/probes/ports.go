package probes

import (
	"fmt"
	"os"
	"sync"
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
