package sandbox

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// OwnProc mounts /proc anew if its settings cannot be written. In a container, the runtime mounts /proc/sys read-only, although the settings
// of a network namespace that was made in the container are not the machine's. The process must have a mount namespace of its own.
func OwnProc() error {
	var fs unix.Statfs_t
	if err := unix.Statfs("/proc/sys", &fs); err != nil {
		return fmt.Errorf("/proc/sys: %w", err)
	}
	if fs.Flags&unix.ST_RDONLY == 0 {
		return nil
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("mount namespace: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc, because /proc/sys is read-only: %w", err)
	}
	return nil
}
