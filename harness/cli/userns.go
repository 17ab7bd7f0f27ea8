package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/relapse-k8s/relapse/harness/runstate"
)

// insideEnv marks the process that runs in a user namespace of its own.
const insideEnv = "RELAPSE_USERNS"

func inUserNamespace() bool { return os.Getenv(insideEnv) != "" }

// enterUserNamespace runs this very command again as root of a new user namespace, where the caller is an ordinary user, and
// returns its exit code as an error: there is nothing left to do then. Everything that the lab makes belongs to that namespace.
func enterUserNamespace(ctx context.Context) error {
	if os.Geteuid() == 0 || inUserNamespace() {
		return nil
	}
	env := append(os.Environ(), insideEnv+"=1")
	if os.Getenv(runstate.EnvDir) == "" {
		// Inside, the user is root, but /run is still the machine's.
		dir := filepath.Join(os.TempDir(), fmt.Sprintf("relapse-%d", os.Geteuid()))
		if runtime := os.Getenv("XDG_RUNTIME_DIR"); runtime != "" {
			dir = filepath.Join(runtime, "relapse")
		}
		env = append(env, runstate.EnvDir+"="+dir)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	inner := exec.Command(self, os.Args[1:]...)
	inner.Stdin, inner.Stdout, inner.Stderr, inner.Env = os.Stdin, os.Stdout, os.Stderr, env
	inner.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	if err := inner.Start(); err != nil {
		return coded{exitSkipped, fmt.Errorf("run as root, or let ordinary users make user namespaces (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0): %w", err)}
	}
	// What a terminal sends reaches the inner process by itself; what is sent to this one is passed on.
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		for s := range signals {
			_ = inner.Process.Signal(s)
		}
	}()
	err = inner.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		return coded{exit.ExitCode(), nil}
	}
	if err != nil {
		return err
	}
	return coded{exitPass, nil}
}
