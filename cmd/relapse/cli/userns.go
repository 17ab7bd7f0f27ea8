package cli

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/agent/runstate"
)

// insideEnv is set in the process that runs in the user namespace.
const insideEnv = "RELAPSE_USERNS"

func inUserNamespace() bool { return os.Getenv(insideEnv) != "" }

// enterUserNamespace runs this command again as root of a new user namespace if the caller is not root. Everything that the lab
// makes belongs to that namespace. After that process has ended nothing is left to do: the error has no message, only its exit
// code.
func enterUserNamespace() error {
	if inUserNamespace() {
		// AppArmor may allow user namespaces but no operation inside them.
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return refused(err)
		}
		return nil
	}
	if os.Geteuid() == 0 {
		return nil
	}
	// Inside, the user is root, and the state folder would be in /run, which still belongs to the machine.
	state, err := runstate.Dir()
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	inner := exec.Command(self, os.Args[1:]...)
	inner.Stdin, inner.Stdout, inner.Stderr = os.Stdin, os.Stdout, os.Stderr
	inner.Env = append(os.Environ(), insideEnv+"=1", runstate.EnvDir+"="+state)
	inner.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:                 syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET | syscall.CLONE_NEWNS,
		UidMappings:                []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings:                []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
		GidMappingsEnableSetgroups: false,
		Pdeathsig:                  syscall.SIGKILL,
	}
	// The kernel sends the parent-death signal when the thread that forked ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := inner.Start(); err != nil {
		return refused(err)
	}
	return coded{follow(inner), nil}
}

// follow passes signals on until the inner process ends, and returns its exit code.
func follow(inner *exec.Cmd) int {
	caught := make(chan os.Signal, 4)
	signal.Notify(caught, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		for range caught {
			// A terminal sends SIGINT to both processes. As SIGTERM it does not count as a second Ctrl-C inside.
			_ = inner.Process.Signal(syscall.SIGTERM)
		}
	}()
	err := inner.Wait()
	var exit *exec.ExitError
	if err == nil {
		return exitPass
	}
	if !errors.As(err, &exit) {
		fmt.Fprintln(os.Stderr, "relapse:", err)
		return exitInconclusive
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal()) // as shells do
	}
	return exit.ExitCode()
}

// refused says which setting forbids user namespaces for ordinary users, and how to change it.
func refused(err error) error {
	var change []string
	for _, setting := range []struct{ key, bad, good string }{
		{"user.max_user_namespaces", "0", "10000"},
		{"kernel.unprivileged_userns_clone", "0", "1"},
		{"kernel.apparmor_restrict_unprivileged_userns", "1", "0"},
	} {
		value, readErr := os.ReadFile("/proc/sys/" + strings.ReplaceAll(setting.key, ".", "/"))
		if readErr == nil && strings.TrimSpace(string(value)) == setting.bad {
			change = append(change, fmt.Sprintf("sysctl -w %s=%s", setting.key, setting.good))
		}
	}
	how := strings.Join(change, "; ")
	if how == "" {
		how = "the sysctls user.max_user_namespaces, kernel.unprivileged_userns_clone and kernel.apparmor_restrict_unprivileged_userns allow it; a container's seccomp profile may forbid it"
	}
	return coded{exitSkipped, fmt.Errorf("the lab needs root or a user namespace, and the kernel refuses a user namespace (%w): run as root, or allow user namespaces: %s", err, how)}
}
