package program

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// listening returns the TCP ports that a program listens on, by its first process, sorted. Source: proc_net_tcp and proc(5): the state
// 0A is TCP_LISTEN, and a socket's file descriptor is a link to socket:[INODE].
func listening(pid int) ([]uint16, error) {
	inodes := sockets(pid)
	var ports []uint16
	for _, table := range []string{"tcp", "tcp6"} {
		file, err := os.Open(fmt.Sprintf("/proc/%d/net/%s", pid, table))
		if os.IsNotExist(err) {
			continue // the process has ended, or the kernel has no IPv6
		}
		if err != nil {
			return nil, err
		}
		defer file.Close()
		lines := bufio.NewScanner(file)
		for lines.Scan() {
			fields := strings.Fields(lines.Text())
			if len(fields) < 10 || fields[3] != "0A" || !inodes[fields[9]] {
				continue
			}
			_, hex, _ := strings.Cut(fields[1], ":")
			port, err := strconv.ParseUint(hex, 16, 16)
			if err != nil {
				return nil, fmt.Errorf("%s: %q: %w", file.Name(), lines.Text(), err)
			}
			ports = append(ports, uint16(port))
		}
		if err := lines.Err(); err != nil {
			return nil, fmt.Errorf("%s: %w", file.Name(), err)
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports), nil
}

// sockets lists the inodes of the open sockets of a program's processes. A process that ends meanwhile is ignored.
func sockets(pid int) map[string]bool {
	inodes := map[string]bool{}
	for _, one := range family(pid) {
		links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", one))
		for _, link := range links {
			target, _ := os.Readlink(link)
			if inode, ok := strings.CutPrefix(target, "socket:["); ok {
				inodes[strings.TrimSuffix(inode, "]")] = true
			}
		}
	}
	return inodes
}

// family lists the processes of a program: each program has its own process group.
func family(pid int) []int {
	var all []int
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		one, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if group, err := syscall.Getpgid(one); err == nil && group == pid {
			all = append(all, one)
		}
	}
	return all
}
