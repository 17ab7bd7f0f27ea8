package procs

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Netns is the inode of a process's network namespace: what `readlink /proc/PID/ns/net` shows. Pid 0 is the calling thread.
func Netns(pid int) (uint64, error) { return namespace(pid, "net") }

// Pidns is the inode of a process's pid namespace. Pid 0 is the calling thread.
func Pidns(pid int) (uint64, error) { return namespace(pid, "pid") }

func namespace(pid int, kind string) (uint64, error) {
	file := fmt.Sprintf("/proc/%d/ns/%s", pid, kind)
	if pid == 0 {
		file = "/proc/thread-self/ns/" + kind
	}
	var st unix.Stat_t
	if err := unix.Stat(file, &st); err != nil {
		return 0, fmt.Errorf("%s: %w", file, err)
	}
	return st.Ino, nil
}
