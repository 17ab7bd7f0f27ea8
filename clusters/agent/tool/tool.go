// Package tool starts programs of the machine for an agent: the documented commands, what fingerprints are taken with, lookups. In a pod they
// meet files that a stranger's scenario has given, so they get no more rights than they need.
package tool

import (
	"context"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// user is the id on the machine of the programs, or 0 for the agent's own.
var user atomic.Uint32

// RunAs makes all programs from now on run as a user and group of this id, if that is another than the agent's.
func RunAs(id int) {
	if id != os.Geteuid() {
		user.Store(uint32(id))
	}
}

// Network prepares a program that reads the network's configuration: of the agent's capabilities it has those of the network.
func Network(ctx context.Context, name string, args ...string) *exec.Cmd {
	return command(ctx, []uintptr{unix.CAP_NET_ADMIN, unix.CAP_NET_RAW}, name, args...)
}

// Plain prepares a program that needs no capability.
func Plain(ctx context.Context, name string, args ...string) *exec.Cmd {
	return command(ctx, nil, name, args...)
}

func command(ctx context.Context, capabilities []uintptr, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	if id := user.Load(); id != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: id, Gid: id}, AmbientCaps: capabilities}
	}
	return cmd
}
