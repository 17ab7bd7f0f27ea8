// Package sandbox makes a process the init of a node or pod of the lab, or of the host outside: its own network, files, process ids and
// host name. The harness starts the agent in new namespaces; the agent then sets them up.
//
//	sandbox.go  what a place has of its own
//	root.go     its root: the machine's programs, read-only, and little else
//	mount.go    the volumes of a pod
//	confine.go  the process of a pod's program, which gets less than its agent
//	sockets.go  the sockets that it can make
//	proc.go     settings that can be written, for the network between the places
package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// Namespaces that an agent of the lab is started in. The wiring agent stays in the machine's process ids, because it has to
// name the others by them.
const (
	Namespaces       = syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC | syscall.CLONE_NEWPID
	WiringNamespaces = syscall.CLONE_NEWNET | syscall.CLONE_NEWNS
)

// Home describes the host name and file system of a node or pod.
type Home struct {
	Hostname string
	// Files, path to content, such as /etc/resolv.conf.
	Files map[string]string
	// Mounts are the volumes of a pod.
	Mounts []Mount
	// Programs are paths of programs that are started there. They are shown at the same paths.
	Programs []string
}

// Path is the PATH of everything in a sandbox.
const Path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Enter sets up the namespaces of this process. Nothing of it is visible on the machine, and of the machine's files only programs are
// visible to it from now on.
func (h Home) Enter() error {
	if err := unix.Sethostname([]byte(h.Hostname)); err != nil {
		return fmt.Errorf("host name %s: %w", h.Hostname, err)
	}
	if err := enterRoot(h.Programs); err != nil {
		return err
	}
	for path, content := range accounts {
		if err := put(path, content); err != nil {
			return err
		}
	}
	for path, content := range h.Files {
		if err := put(path, content); err != nil {
			return err
		}
	}
	for _, m := range h.Mounts {
		if err := m.mount(); err != nil {
			return fmt.Errorf("volume %s: %w", m.Volume, err)
		}
	}
	return os.Setenv("PATH", Path)
}

// accounts are the users and groups that the configurations of servers name. All but root are the user that programs run as.
var accounts = map[string]string{
	"/etc/passwd": "root:x:0:0:root:/:/bin/sh\n" + account("nobody", "www-data", "nginx", "haproxy", "node"),
	"/etc/group":  "root:x:0:\n" + account("nogroup", "nobody", "www-data", "nginx", "haproxy", "node"),
}

func account(names ...string) (lines string) {
	for _, name := range names {
		lines += fmt.Sprintf("%s:x:%d:%[2]d::/:/bin/sh\n", name, user)
	}
	return lines
}

// put writes a file of the sandbox's own.
func put(path, content string) error {
	return errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644))
}
