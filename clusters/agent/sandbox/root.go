package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

var (
	// shown are the machine's folders that a sandbox shows, read-only: programs and libraries.
	shown = []string{"usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32"}
	// shownFiles are what programs need beyond that. None is secret on any machine.
	shownFiles = []string{
		"dev/null", "dev/zero", "dev/full", "dev/random", "dev/urandom",
		"etc/alternatives", "etc/ld.so.cache", "etc/protocols", "etc/services", "etc/iproute2", "etc/nginx/mime.types",
	}
	// own are the sandbox's file systems, and what they may take of the machine's memory.
	own = []struct{ kind, at, options string }{
		{"proc", "/proc", ""},
		{"sysfs", "/sys", ""},
		{"tmpfs", "/run", scratch},
		{"tmpfs", "/run/relapse", "mode=755,size=64m,nr_inodes=16k"}, // the agent's, which programs cannot write to
		{"tmpfs", "/tmp", scratch},
		{"tmpfs", "/var", scratch},
	}
	// folders and links that programs expect; nginx cannot make its own folders.
	folders = []string{"/var/lib/nginx", "/var/log/nginx"}
	links   = map[string]string{
		"/dev/fd": "/proc/self/fd", "/dev/stdin": "/proc/self/fd/0", "/dev/stdout": "/proc/self/fd/1", "/dev/stderr": "/proc/self/fd/2",
		"/dev/shm": "/tmp", "/var/run": "/run", "/var/tmp": "/tmp",
	}
)

const scratch = "mode=1777,size=64m,nr_inodes=16k"

// isShown says whether a path is in one of the machine's folders.
func isShown(path string) bool {
	top, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return slices.Contains(shown, top)
}

// enterRoot makes a new root of the mount namespace and leaves the machine's.
func enterRoot(programs []string) error {
	const base, old = "/tmp", "/old"
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("mount namespace: %w", err)
	}
	sources := map[string]string{}
	for _, path := range programs {
		if isShown(path) {
			continue
		}
		source, err := filepath.EvalSymlinks(path)
		if err != nil {
			return err
		}
		sources[path] = source
	}
	if err := unix.Mount("tmpfs", base, "tmpfs", unix.MS_NOSUID, "mode=755,size=16m,nr_inodes=4k"); err != nil {
		return fmt.Errorf("mount a root: %w", err)
	}
	if err := os.Mkdir(base+old, 0o700); err != nil {
		return err
	}
	if err := unix.PivotRoot(base, base+old); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	// A user namespace may mount proc and sysfs only while it sees the machine's.
	for _, m := range own {
		if err := errors.Join(os.MkdirAll(m.at, 0o755), unix.Mount(m.kind, m.at, m.kind, unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, m.options)); err != nil {
			return fmt.Errorf("mount %s: %w", m.at, err)
		}
	}
	if err := readOnly("/sys"); err != nil {
		return err
	}
	for _, name := range shown {
		if err := show(old, name); err != nil {
			return err
		}
	}
	for _, name := range shownFiles {
		err := bind(filepath.Join(old, name), "/"+name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := errors.Join(err, readOnly("/"+name)); err != nil {
			return err
		}
	}
	for path, source := range sources {
		if err := errors.Join(bind(filepath.Join(old, source), path), readOnly(path)); err != nil {
			return err
		}
	}
	for _, path := range folders {
		if err := errors.Join(os.MkdirAll(path, 0o755), os.Chmod(path, 0o777|fs.ModeSticky)); err != nil {
			return err
		}
	}
	for path, target := range links {
		if err := os.Symlink(target, path); err != nil {
			return err
		}
	}
	if err := unix.Unmount(old, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leave the machine's root: %w", err)
	}
	return os.Remove(old)
}

// show shows one of the machine's folders. It may be a link, such as /bin to usr/bin, or not exist.
func show(old, name string) error {
	source := filepath.Join(old, name)
	info, err := os.Lstat(source)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(source)
		if err != nil {
			return err
		}
		return os.Symlink(target, "/"+name)
	}
	return errors.Join(bind(source, "/"+name), readOnly("/"+name))
}

// bind mounts a file or folder at a path, which is made if it is not there.
func bind(source, target string) error {
	info, err := os.Stat(source)
	if err != nil {
		return err
	}
	if err := makePoint(target, info.IsDir()); err != nil {
		return err
	}
	if err := unix.Mount(source, target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("mount %s at %s: %w", source, target, err)
	}
	return nil
}

// makePoint makes what something is mounted at.
func makePoint(path string, folder bool) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if folder {
		return os.MkdirAll(path, 0o755)
	}
	return put(path, "")
}

// readOnly makes a mount read-only, with all that is mounted in it.
func readOnly(target string) error {
	return restrict(target, unix.AT_RECURSIVE)
}

// restrict needs Linux 5.12.
func restrict(target string, flags uint) error {
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID}
	if err := unix.MountSetattr(unix.AT_FDCWD, target, flags, &attr); err != nil {
		return fmt.Errorf("mount %s read-only (mount_setattr of Linux 5.12): %w", target, err)
	}
	return nil
}
