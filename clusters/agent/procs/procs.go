// Package procs names, finds and ends processes, and never the wrong one: a process is identified by its pid and start time, and held by
// a pidfd while it is checked and signalled.
package procs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/agent/await"
)

// ID identifies one process while the machine is up: a pid may be reused, but not a pid with the same start time.
type ID struct {
	PID int `json:"pid"`
	// Start is the time the process started, in clock ticks since boot: field 22 of /proc/PID/stat.
	Start uint64 `json:"start"`
}

// String helps a person find the process.
func (id ID) String() string { return fmt.Sprintf("process %d (started at tick %d)", id.PID, id.Start) }

// Self is the calling process.
func Self() (ID, error) { return Of(os.Getpid()) }

// Of returns the identity of the process that has this pid now.
func Of(pid int) (ID, error) {
	stat, err := readStat(pid)
	if err != nil {
		return ID{}, err
	}
	return ID{PID: pid, Start: stat.start}, nil
}

// Alive says whether the process exists and has not ended. A zombie has ended.
func (id ID) Alive() bool {
	stat, err := readStat(id.PID)
	return err == nil && stat.start == id.Start && stat.state != "Z" && stat.state != "X"
}

// Stopped says whether the process with this pid is stopped by a signal.
func Stopped(pid int) (bool, error) {
	stat, err := readStat(pid)
	return stat.state == "T", err
}

// AwaitStopped waits until a process that got SIGSTOP is stopped: the signal only asks for it. One that has ended will never be.
func AwaitStopped(ctx context.Context, pid int) error {
	err := await.Until(ctx, stopLimit, time.Millisecond, func(context.Context) (string, error) {
		stat, err := readStat(pid)
		if Gone(err) || stat.state == "T" || stat.state == "Z" || stat.state == "X" {
			return "", nil
		}
		return fmt.Sprintf("process %d is in state %s, not stopped", pid, stat.state), err
	})
	if err != nil {
		return fmt.Errorf("after SIGSTOP: %w", err)
	}
	return nil
}

// stopLimit bounds the wait for a process that is in a system call which no signal interrupts.
const stopLimit = 30 * time.Second

// stat is the part of /proc/PID/stat that is used here.
type stat struct {
	comm  string
	state string
	start uint64
}

func readStat(pid int) (stat, error) {
	file := fmt.Sprintf("/proc/%d/stat", pid)
	text, err := os.ReadFile(file)
	if err != nil {
		return stat{}, err
	}
	// The name is in parentheses and may itself hold any character, so the fields are counted from the last parenthesis.
	open, end := strings.IndexByte(string(text), '('), strings.LastIndexByte(string(text), ')')
	if open < 0 || end < open {
		return stat{}, fmt.Errorf("%s: no name in parentheses: %q", file, text)
	}
	fields := strings.Fields(string(text[end+1:]))
	if len(fields) < 20 {
		return stat{}, fmt.Errorf("%s: %d fields after the name, wanted at least 20: %q", file, len(fields), text)
	}
	start, err := strconv.ParseUint(fields[19], 10, 64)
	if err != nil {
		return stat{}, fmt.Errorf("%s: start time: %w", file, err)
	}
	return stat{comm: string(text[open+1 : end]), state: fields[0], start: start}, nil
}

// Gone reports whether err means that the process no longer exists.
func Gone(err error) bool {
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH)
}

// Handle holds a process: its methods act on that process or on none.
type Handle struct {
	ID
	fd int
}

// Open returns a handle. The error is os.ErrNotExist if the process is gone, even if another process now has its pid.
func (id ID) Open() (*Handle, error) {
	fd, err := unix.PidfdOpen(id.PID, 0)
	if err != nil {
		if errors.Is(err, unix.ESRCH) {
			return nil, fmt.Errorf("%s: %w", id, os.ErrNotExist)
		}
		return nil, fmt.Errorf("pidfd_open of %s: %w", id, err)
	}
	// Only now, with the pidfd held, can it be checked that this is the right process.
	if now, err := Of(id.PID); err != nil || now.Start != id.Start {
		_ = unix.Close(fd)
		if err != nil && !Gone(err) {
			return nil, err
		}
		return nil, fmt.Errorf("%s: %w", id, os.ErrNotExist)
	}
	return &Handle{ID: id, fd: fd}, nil
}

// Close releases the handle.
func (h *Handle) Close() error { return unix.Close(h.fd) }

// Signal sends a signal. It is not an error if the process is gone.
func (h *Handle) Signal(sig unix.Signal) error {
	if err := unix.PidfdSendSignal(h.fd, sig, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("signal %d to %s: %w", int(sig), h.ID, err)
	}
	return nil
}

// Wait returns nil when the process has ended, or the context's error.
func (h *Handle) Wait(ctx context.Context) error {
	for {
		// A short time-out, because a context cannot wake a poll. The end of the process wakes it at once.
		slice := 50 * time.Millisecond
		if deadline, ok := ctx.Deadline(); ok {
			slice = max(0, min(slice, time.Until(deadline)))
		}
		fds := []unix.PollFd{{Fd: int32(h.fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, int(slice.Milliseconds())+1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("poll of %s: %w", h.ID, err)
		}
		if n > 0 {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("%s has not ended%s: %w", h.ID, h.waits(), err)
		}
	}
}

// waits says in which state and function of the kernel the process is, for an error message; "" if it is gone.
func (id ID) waits() string {
	s, err := readStat(id.PID)
	if err != nil || s.start != id.Start {
		return ""
	}
	where, _ := os.ReadFile(fmt.Sprintf("/proc/%d/wchan", id.PID)) // root only; "0" if it does not wait
	if len(where) == 0 || string(where) == "0" {
		return fmt.Sprintf(" (state %s)", s.state)
	}
	return fmt.Sprintf(" (state %s, in %s)", s.state, where)
}

// Kill ends the process with SIGKILL and waits until it has ended. It is not an error if the process is gone.
func (id ID) Kill(ctx context.Context) error {
	h, err := id.Open()
	if Gone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = h.Close() }()
	if err := h.Signal(unix.SIGKILL); err != nil {
		return err
	}
	return h.Wait(ctx)
}
