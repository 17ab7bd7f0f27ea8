package procs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Process is a process that was found by its environment.
type Process struct {
	ID
	// Command line, with spaces between the words, or the kernel's name of the process if it is empty.
	Command string `json:"command"`
	// Env has the values of the requested variables with which the process was started.
	Env map[string]string `json:"env"`
}

// String helps a person recognize the process.
func (p Process) String() string { return fmt.Sprintf("process %d %q", p.PID, p.Command) }

// WithEnv returns the processes that were started with the first of these environment variables, and their values of all of them, sorted
// by pid. Processes that have ended (including zombies) or whose environment may not be read are left out: if it cannot be read, the
// process cannot be ended either.
func WithEnv(variable string, more ...string) ([]Process, error) {
	pids, err := running()
	if err != nil {
		return nil, err
	}
	wanted := append([]string{variable}, more...)
	needle := []byte(variable + "=")
	var found []Process
	for _, pid := range pids {
		// A quick check first, because most processes do not match.
		environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if err != nil || !bytes.Contains(environ, needle) {
			continue
		}
		p, err := describe(pid, wanted)
		if Gone(err) || errors.Is(err, os.ErrPermission) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if _, ok := p.Env[variable]; ok {
			found = append(found, p)
		}
	}
	return found, nil
}

// Named returns the processes that ps -C NAME lists: the kernel's name of a process has at most 15 characters.
func Named(name string) ([]ID, error) {
	pids, err := running()
	if err != nil {
		return nil, err
	}
	var found []ID
	for _, pid := range pids {
		stat, err := readStat(pid)
		if Gone(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if stat.comm == name && stat.state != "Z" && stat.state != "X" {
			found = append(found, ID{PID: pid, Start: stat.start})
		}
	}
	return found, nil
}

// running lists the pids of all processes.
func running() ([]int, error) {
	proc, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer func() { _ = proc.Close() }()
	names, err := proc.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list /proc: %w", err)
	}
	var pids []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids, nil
}

// describe reads the start time before and after the rest, because the pid may be reused in between.
func describe(pid int, wanted []string) (Process, error) {
	before, err := readStat(pid)
	if err != nil {
		return Process{}, err
	}
	if before.state == "Z" || before.state == "X" {
		return Process{}, os.ErrNotExist
	}
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return Process{}, err
	}
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return Process{}, err
	}
	after, err := readStat(pid)
	if err != nil {
		return Process{}, err
	}
	if after.start != before.start {
		return Process{}, os.ErrNotExist
	}
	p := Process{ID: ID{PID: pid, Start: after.start}, Command: after.comm, Env: map[string]string{}}
	if text := strings.ReplaceAll(strings.TrimRight(string(cmdline), "\x00"), "\x00", " "); text != "" {
		p.Command = text
	}
	for _, entry := range strings.Split(string(environ), "\x00") {
		key, value, ok := strings.Cut(entry, "=")
		if _, seen := p.Env[key]; ok && !seen && slices.Contains(wanted, key) {
			p.Env[key] = value
		}
	}
	return p, nil
}
