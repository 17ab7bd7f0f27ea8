// Package sandbox makes a process the init of a node or pod of the lab, or of the host outside: its own network, mounts, process ids and host name.
// The harness starts the agent in new namespaces; the agent then makes them its home.
package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Namespaces that an agent of the lab is started in. The wiring agent stays in the machine's process ids, because it has to
// name the others by them.
const (
	Namespaces       = syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC | syscall.CLONE_NEWPID
	WiringNamespaces = syscall.CLONE_NEWNET
)

// Home is what a node or pod finds in its file system.
type Home struct {
	Hostname string
	// Files to show in place of the machine's, such as /etc/resolv.conf: path to content. They are the sandbox's own.
	Files map[string]string
	// Mounts are the volumes of a pod.
	Mounts []Mount
}

// Enter makes the namespaces of this process a home. The machine sees nothing of it.
func (h Home) Enter() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("mounts of its own: %w", err)
	}
	if err := unix.Sethostname([]byte(h.Hostname)); err != nil {
		return fmt.Errorf("host name %s: %w", h.Hostname, err)
	}
	// A link such as /etc/resolv.conf -> ../run/systemd/resolve/stub-resolv.conf is followed while it leads somewhere.
	targets := map[string]string{}
	for path := range h.Files {
		target, err := filepath.EvalSymlinks(path)
		if err != nil {
			return fmt.Errorf("%s: %w: the lab shows its own in its place, so it must exist", path, err)
		}
		targets[path] = target
	}
	for _, m := range []struct{ kind, at string }{{"proc", "/proc"}, {"sysfs", "/sys"}, {"tmpfs", "/run"}} {
		if err := unix.Mount(m.kind, m.at, m.kind, 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m.at, err)
		}
	}
	for path, content := range h.Files {
		if err := show(targets[path], content); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	for _, m := range h.Mounts {
		if err := m.mount(); err != nil {
			return fmt.Errorf("volume %s: %w", m.Volume, err)
		}
	}
	return nil
}

// show puts a file in the place of target.
func show(target, content string) error {
	own := target
	if !strings.HasPrefix(target, "/run/") { // /run is the sandbox's own already
		own = filepath.Join("/run/relapse", target)
	}
	if err := errors.Join(os.MkdirAll(filepath.Dir(own), 0o755), os.WriteFile(own, []byte(content), 0o644)); err != nil {
		return err
	}
	if own == target {
		return nil
	}
	return unix.Mount(own, target, "", unix.MS_BIND, "")
}
