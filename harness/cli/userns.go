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

	"github.com/relapse-k8s/relapse/harness/runstate"
)

// insideEnv marks the process that runs in a user namespace of its own.
const insideEnv = "RELAPSE_USERNS"

func inUserNamespace() bool { return os.Getenv(insideEnv) != "" }

// enterUserNamespace runs this very command again as root of a new user namespace, where the caller is an ordinary user.
// Everything that the lab makes belongs to that namespace. When that has ended all is done: the error then has no message,
// only the exit code.
func enterUserNamespace() error {
	if inUserNamespace() {
		// AppArmor may let anybody make a user namespace in which nothing is allowed.
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return refused(err)
		}
		return nil
	}
	if os.Geteuid() == 0 {
		return nil
	}
	// Inside, the user is root, for whom the folder would be in /run, which is still the machine's.
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
	// The parent-death signal comes when the thread that forked ends.
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
			// What a terminal sends has reached the inner process by itself; as another signal it is not taken for a second one.
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
		return 128 + int(status.Signal()) // as a shell says it
	}
	return exit.ExitCode()
}

// refused says, in one line, which setting keeps ordinary users from making user namespaces.
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
		how = "user.max_user_namespaces, kernel.unprivileged_userns_clone and kernel.apparmor_restrict_unprivileged_userns are not what forbids it; a container's seccomp profile may be"
	}
	return coded{exitSkipped, fmt.Errorf("the lab needs root, or a user namespace, which the kernel refuses (%w): run as root, or let ordinary users make them: %s", err, how)}
}
