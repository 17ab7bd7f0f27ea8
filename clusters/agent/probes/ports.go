package probes

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"
)

// portRange is where the kernel keeps the source ports that it chooses from, in each network namespace.
const portRange = "/proc/sys/net/ipv4/ip_local_port_range"

// freshPorts gives attempts source ports that no attempt before had. A port that comes again within a conntrack time-out
// meets the entry of its last use, and so no race: chosen by chance from 28000 ports, that happens to one of some hundred attempts.
// All probes of a network namespace share it, because the kernel's range is the namespace's.
type freshPorts struct {
	// mu is for the process whose turn it is to open a socket.
	mu   sync.Mutex
	next int

	// using guards how many series there are, and the range before the first.
	using  sync.Mutex
	series int
	before []byte
	// used counts the ports that the sockets of other probes have had.
	used int
}

const (
	firstPort = 10000
	lastPort  = 60000
	// portsAtATime lets a pod make 8333 lookups with ports that come once: more than four phases of the most attempts that can be asked for.
	// When they come again, the kernel may not have collected the expired entries yet, and refuses to make new ones.
	portsAtATime = 6
	// narrowFor is how long a pod may have only these few ports, which its other programs would soon have used up. A process that has not
	// opened its socket by then gets another port, and which one is not known.
	narrowFor = 100 * time.Millisecond
	// firstOther and lastOther are for what else a lookup opens: it may send its second query from another socket, or look up more names.
	firstOther = 60001
	lastOther  = 65535
)

// ownPorts is how many ports attempts with ports of their own have: more than a run makes attempts.
const ownPorts = 10000

// ownPort is the port of an attempt, the same for all probes that begin with the same port.
func ownPort(first, number int) int { return first + number%ownPorts }

// begin remembers the range, which is restored when the last series ends.
func (f *freshPorts) begin() (end func() error, err error) {
	f.using.Lock()
	defer f.using.Unlock()
	if f.series == 0 {
		if f.before, err = os.ReadFile(portRange); err != nil {
			return nil, err
		}
	}
	f.series++
	return f.end, nil
}

func (f *freshPorts) end() error {
	f.using.Lock()
	defer f.using.Unlock()
	if f.series--; f.series > 0 {
		return nil
	}
	return os.WriteFile(portRange, f.before, 0o644)
}

// prepare starts a process that says when it is ready, then reads a line from its input and opens a socket. Only one process at a time does
// that, while the kernel has only a few ports to choose from: own, if that is not 0, or else the next few. Prepare returns when it is this
// process's turn; run lets it go on and returns how it ended.
func (f *freshPorts) prepare(ctx context.Context, cmd *exec.Cmd, own int) (run func(context.Context) (Outcome, error), err error) {
	output := &readyOutput{to: cmd.Stdout, ready: make(chan struct{})}
	cmd.Stdout = output
	begin, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	late := time.NewTimer(prepareLimit)
	defer late.Stop()
	select {
	case <-output.ready:
	case err := <-ended:
		return nil, fmt.Errorf("its process ended before it was ready: %w", cmp.Or(err, io.EOF))
	case <-late.C:
		return nil, errors.Join(fmt.Errorf("its process was not ready within %s", prepareLimit), cmd.Process.Kill(), <-ended)
	}
	f.mu.Lock()
	return func(ctx context.Context) (Outcome, error) {
		outcome, err := f.open(ctx, begin, own, ended)
		if err != nil {
			return outcome, err
		}
		return outcome, <-ended
	}, nil
}

// open lets a process open its socket, and unlocks the ports for the next one when it has done so or has ended.
func (f *freshPorts) open(ctx context.Context, begin io.Writer, own int, ended chan error) (outcome Outcome, err error) {
	defer f.mu.Unlock()
	first, last := own, own
	if own == 0 {
		if f.next < firstPort || f.next+portsAtATime > lastPort {
			f.next = firstPort
		}
		first, last = f.next, f.next+portsAtATime-1
		f.next += portsAtATime
	}
	outcome.Ports = [2]uint16{uint16(first), uint16(last)}
	if err := setPorts(first, last); err != nil {
		return outcome, err
	}
	// However it ends: else the pod would be left with the few ports.
	defer func() { err = errors.Join(err, setPorts(firstOther, lastOther)) }()
	if _, err := io.WriteString(begin, "\n"); err != nil {
		return outcome, nil // it has ended, and how it ended says why
	}
	var patience <-chan time.Time
	if own == 0 {
		patience = time.After(narrowFor)
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for look := 1; ; look++ {
		tables := []string{"/proc/net/udp"}
		if look%lookForTCP == 0 {
			tables = append(tables, "/proc/net/tcp")
		}
		open, err := portOpen(tables, first, last)
		if err != nil || open {
			return outcome, err
		}
		select {
		case err := <-ended:
			ended <- err
			return outcome, nil
		case <-ctx.Done():
			return outcome, nil
		case <-patience:
			outcome.Ports = [2]uint16{}
			return outcome, nil
		case <-tick.C:
		}
	}
}

func setPorts(first, last int) error {
	return os.WriteFile(portRange, fmt.Appendf(nil, "%d %d", first, last), 0o644)
}

// readyOutput passes on what a process writes, but for its first line, which says that it is ready.
type readyOutput struct {
	to    io.Writer
	ready chan struct{}
	said  bool
}

func (o *readyOutput) Write(p []byte) (int, error) {
	rest := p
	if !o.said {
		_, after, found := bytes.Cut(p, []byte("\n"))
		if !found {
			return len(p), nil
		}
		o.said, rest = true, after
		close(o.ready)
	}
	if _, err := o.to.Write(rest); err != nil {
		return 0, err
	}
	return len(p), nil
}

// lookForTCP is how often the sockets for TCP are looked at too: they are rare in lookups, and the kernel needs a millisecond for the table,
// because it walks through that of the whole machine.
const lookForTCP = 10

// portOpen says whether a table of IPv4 sockets has one of the ports. Lines begin with the number of the line and
// the local address in hexadecimal, as in "12: 0100007F:0035". Source: linux net/ipv4/udp.c (udp4_format_sock), tcp_ipv4.c (get_tcp4_sock).
func portOpen(tables []string, first, last int) (bool, error) {
	for _, table := range tables {
		text, err := os.ReadFile(table)
		if err != nil {
			return false, err
		}
		for line := range strings.Lines(string(text)) {
			fields := strings.Fields(line)
			if len(fields) < 2 {
				continue
			}
			_, hex, _ := strings.Cut(fields[1], ":")
			port, err := strconv.ParseUint(hex, 16, 16)
			if err == nil && first <= int(port) && int(port) <= last {
				return true, nil
			}
		}
	}
	return false, nil
}
