package readers

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// NetnsCount is how many conntrack entries a network namespace has.
type NetnsCount struct {
	Netns   uint64
	Entries int
	// PID and Command of a process in it.
	PID     int
	Command string
	// Run is the run that the process belongs to, or empty.
	Run string
}

// ConntrackCounts reads the number of conntrack entries of every network namespace that a process is in, without entering
// it: /proc/PID/net shows the process's namespace, and the first column of stat/nf_conntrack is the count.
// Source: linux net/netfilter/nf_conntrack_standalone.c (ct_cpu_seq_show).
func ConntrackCounts() ([]NetnsCount, error) {
	folders, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	seen := map[uint64]bool{}
	var counts []NetnsCount
	for _, folder := range folders {
		link, err := os.Readlink(filepath.Join(folder, "ns/net"))
		if err != nil {
			continue // it has ended meanwhile
		}
		netns, err := strconv.ParseUint(strings.Trim(link, "net:[]"), 10, 64)
		if err != nil || seen[netns] {
			continue
		}
		stat, err := os.ReadFile(filepath.Join(folder, "net/stat/nf_conntrack"))
		if err != nil {
			continue
		}
		lines := strings.Split(string(stat), "\n")
		if len(lines) < 2 || len(strings.Fields(lines[1])) == 0 {
			continue
		}
		entries, err := strconv.ParseUint(strings.Fields(lines[1])[0], 16, 64)
		if err != nil {
			return nil, fmt.Errorf("%s/net/stat/nf_conntrack: %w", folder, err)
		}
		seen[netns] = true
		pid, _ := strconv.Atoi(filepath.Base(folder))
		command, _ := os.ReadFile(filepath.Join(folder, "comm"))
		counts = append(counts, NetnsCount{Netns: netns, Entries: int(entries), PID: pid, Command: strings.TrimSpace(string(command)), Run: environ(folder, "RELAPSE_RUN")})
	}
	return counts, nil
}

func environ(folder, key string) string {
	env, err := os.ReadFile(filepath.Join(folder, "environ"))
	if err != nil {
		return ""
	}
	for entry := range bytes.SplitSeq(env, []byte{0}) {
		if value, ok := strings.CutPrefix(string(entry), key+"="); ok {
			return value
		}
	}
	return ""
}
