package readers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/relapse-k8s/relapse/clusters/agent"
)

// KernelLine is a line of the kernel log that relapse knows.
type KernelLine struct {
	Event string
	Line  string
	// Netns is the inode of the network namespace that the line names, or 0.
	Netns uint64
}

// FollowKernelLog sends the known lines that the kernel logs from now on, until it is cancelled.
var FollowKernelLog = agent.Op[agent.None, KernelLine, agent.None]{Name: "kernel-log/follow"}

// tableFull is the message in both spellings: 6.18 names the namespace, 6.12 and before do not.
// Source: linux net/netfilter/nf_conntrack_core.c (__nf_conntrack_alloc).
var tableFull = regexp.MustCompile(`nf_conntrack: table full(?: in netns (\d+))?, dropping packet`)

// ConntrackTableFull is the event of the message that the conntrack table is full.
const ConntrackTableFull = "conntrack-table-full"

// LoggedDrop is the event of a line that a rule of the change log-drops logs, and DropPrefix what such a line begins with.
const (
	LoggedDrop = "logged-drop"
	DropPrefix = "relapse-drop: "
)

// KernelEvents are the events of the kernel's log, with their meaning.
var KernelEvents = map[string]string{
	ConntrackTableFull: "the conntrack table is full, and a packet was dropped",
	LoggedDrop:         "a rule of the change log-drops logged a packet",
}

// ParseKernelLine recognizes a line of the kernel log.
func ParseKernelLine(line string) (KernelLine, bool) {
	if strings.HasPrefix(line, DropPrefix) {
		return KernelLine{Event: LoggedDrop, Line: line}, true
	}
	m := tableFull.FindStringSubmatch(line)
	if m == nil {
		return KernelLine{}, false
	}
	netns, _ := strconv.ParseUint(m[1], 10, 64)
	return KernelLine{Event: ConntrackTableFull, Line: line, Netns: netns}, true
}

// HandleKernelLog serves FollowKernelLog from /dev/kmsg.
func HandleKernelLog(ctx context.Context, _ agent.None, emit func(KernelLine)) (agent.None, error) {
	log, err := os.OpenFile("/dev/kmsg", os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return agent.None{}, err
	}
	defer log.Close()
	if _, err := log.Seek(0, 2); err != nil {
		return agent.None{}, fmt.Errorf("/dev/kmsg: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = log.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	record := make([]byte, 8<<10) // one read gives one record
	for {
		n, err := log.Read(record)
		switch {
		case ctx.Err() != nil:
			return agent.None{}, nil
		case errors.Is(err, syscall.EPIPE): // records were overwritten before they were read
			continue
		case err != nil:
			return agent.None{}, fmt.Errorf("/dev/kmsg: %w", err)
		}
		_, message, _ := strings.Cut(string(record[:n]), ";")
		message, _, _ = strings.Cut(message, "\n")
		if line, ok := ParseKernelLine(message); ok {
			emit(line)
		}
	}
}
