package place

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/agent/procs"
	"github.com/relapse-k8s/relapse/clusters/limits"
)

// entered is set in the environment of a program that Enter has started again, to the network namespace that it is in.
const entered = "RELAPSE_ENTERED"

// files of a place take the place of the agent's own. Without the first one a change would be made to the agent's.
var files = []string{resolvConf, "/etc/hosts", "/etc/hostname"}

const resolvConf = "/etc/resolv.conf"

// Inside says whether this program was started by Enter.
func Inside() (bool, error) {
	text, ok := os.LookupEnv(entered)
	if !ok {
		return false, nil
	}
	if err := os.Unsetenv(entered); err != nil {
		return false, err
	}
	here, err := procs.Netns(0)
	if err == nil && text != strconv.FormatUint(here, 10) {
		err = fmt.Errorf("entered net:[%s], and this is net:[%d]", text, here)
	}
	return true, err
}

// Enter starts this program again, as the same process, in the network and the host name of another one, with its resolv.conf, hosts and
// hostname; all other files stay the caller's. It does so because only one thread can change its namespaces, and at exec that
// thread becomes the whole process. It returns only on an error.
//
// Those files are mounts of the place's own, so a change to one of them is seen by the place, and the other way round.
// /proc and /sys are new: the ones of a container cannot be written to, and show another network.
func Enter(process procs.ID) error {
	runtime.LockOSThread() // for good: on an error the program ends
	fail := func(err error) error { return fmt.Errorf("enter the namespaces of %s: %w", process, err) }
	target, err := open(process)
	if err != nil {
		return fail(err)
	}
	trees, err := target.files()
	if err != nil {
		return fail(err)
	}
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fail(fmt.Errorf("mounts of its own: %w", err))
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fail(fmt.Errorf("mounts of its own: %w", err))
	}
	for path, tree := range trees {
		if err := unix.MoveMount(tree, "", unix.AT_FDCWD, path, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
			return fail(fmt.Errorf("mount its %s: %w", path, err))
		}
		// The place may have it read-only, as a pod's sandbox does. Where this is refused, a change of the file says so.
		_ = unix.Mount("", path, "", unix.MS_REMOUNT|unix.MS_BIND, "")
	}
	if err := unix.Setns(target.net, unix.CLONE_NEWNET); err != nil {
		return fail(fmt.Errorf("its network: %w", err))
	}
	if err := unix.Setns(target.uts, unix.CLONE_NEWUTS); err != nil {
		return fail(fmt.Errorf("its host name: %w", err))
	}
	for _, kind := range []struct{ name, at string }{{"proc", "/proc"}, {"sysfs", "/sys"}} {
		// The kernel refuses to mount one file system twice at the same place, and the old one may be of the same network.
		if err := unix.Unmount(kind.at, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
			return fail(fmt.Errorf("unmount %s: %w", kind.at, err))
		}
		if err := unix.Mount(kind.name, kind.at, kind.name, unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
			return fail(fmt.Errorf("mount %s: %w", kind.at, err))
		}
	}
	here, err := procs.Netns(0)
	if err != nil {
		return fail(err)
	}
	return fail(unix.Exec("/proc/self/exe", os.Args, append(os.Environ(), fmt.Sprintf("%s=%d", entered, here))))
}

// target holds the namespaces of a process.
type target struct{ net, uts, mnt int }

func open(process procs.ID) (target, error) {
	// Held while its files are opened, so that they are this process's and not those of one that has its pid by now.
	handle, err := process.Open()
	if err != nil {
		return target{}, errors.Join(ErrGone, err)
	}
	defer handle.Close()
	var t target
	for _, one := range []struct {
		kind string
		fd   *int
	}{{"net", &t.net}, {"uts", &t.uts}, {"mnt", &t.mnt}} {
		path := fmt.Sprintf("/proc/%d/ns/%s", process.PID, one.kind)
		if *one.fd, err = unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
			return t, fmt.Errorf("%s: %w", path, err)
		}
	}
	if !process.Alive() {
		return t, fmt.Errorf("%w: %s has ended", ErrGone, process)
	}
	return t, nil
}

// files returns copies of the mounts of those files that the place has. They can be made only from within its mount namespace, by a
// thread that then ends.
func (t target) files() (map[string]int, error) {
	type result struct {
		trees map[string]int
		err   error
	}
	done := make(chan result, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked
		trees, err := func() (map[string]int, error) {
			if err := unix.Unshare(unix.CLONE_FS); err != nil {
				return nil, err
			}
			if err := unix.Setns(t.mnt, unix.CLONE_NEWNS); err != nil {
				return nil, err
			}
			trees := map[string]int{}
			for _, path := range files {
				tree, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
				if errors.Is(err, unix.ENOENT) && path != resolvConf {
					continue
				}
				if err != nil {
					return nil, fmt.Errorf("%s: %w", path, err)
				}
				trees[path] = tree
			}
			return trees, nil
		}()
		done <- result{trees, err}
	}()
	limit := time.NewTimer(limits.Enter)
	defer limit.Stop()
	select {
	case r := <-done:
		if r.err != nil {
			return nil, fmt.Errorf("its files: %w", r.err)
		}
		return r.trees, nil
	case <-limit.C:
		return nil, fmt.Errorf("its files: not opened within %s", limits.Enter)
	}
}
