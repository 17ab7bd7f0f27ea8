// Package nstest runs a test in network and mount namespaces of its own, so that it meets the real kernel and changes nothing of the
// machine.
package nstest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// inside is set in the process that runs the test.
const inside = "RELAPSE_NSTEST"

// Enter runs the calling test again in a process with namespaces of its own and returns false: the caller then returns. In that
// process, where lo is up, it returns true. If that is not permitted the test is skipped. It is for top-level tests.
func Enter(t *testing.T) bool {
	t.Helper()
	if os.Getenv(inside) == t.Name() {
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			t.Fatalf("make mounts private: %v", err)
		}
		Must(t, "ip link set lo up")
		return true
	}
	cmd := again(t.Name(), syscall.CLONE_NEWNET|syscall.CLONE_NEWNS, "-test.run=^"+t.Name()+"$", "-test.v", "-test.count=1")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.ENOSPC) {
		t.Skipf("needs network and mount namespaces of its own: %v", err)
	}
	if err != nil {
		t.Fatalf("in namespaces of its own: %v\n%s", err, out.String())
	}
	if strings.Contains(out.String(), "--- SKIP: "+t.Name()+" ") {
		t.Skip(out.String())
	}
	t.Log(out.String())
	return false
}

// again is this test program once more, in new namespaces, as root of a user namespace if it is not root already. It dies with its parent.
func again(env string, namespaces uintptr, args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), inside+"="+env)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	return cmd
}

// all is the value of inside in a process that runs all tests of a package.
const all = "all"

var refused error

// Main is a TestMain that runs all tests of a package in one network namespace of their own, which dies with them, and fails if
// they leave a goroutine. The calling package locks the main thread in an init function, so that /proc/self shows that namespace.
func Main(m *testing.M) {
	if os.Getenv(inside) == all {
		goleak.VerifyTestMain(m)
	}
	cmd := again(all, syscall.CLONE_NEWNET, os.Args[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	refused = cmd.Run()
	var exit *exec.ExitError
	switch {
	case refused == nil:
		os.Exit(0)
	case errors.As(refused, &exit):
		os.Exit(max(1, exit.ExitCode()))
	}
	os.Exit(m.Run())
}

// NeedsNamespace skips a test if [Main] could not make a namespace.
func NeedsNamespace(t testing.TB) {
	t.Helper()
	if refused != nil {
		t.Skipf("needs a network namespace of its own: %v", refused)
	}
}

// Must runs a command and returns what it said.
func Must(t *testing.T, command string) string {
	t.Helper()
	out, err := Try(command)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Try is Must with an error, which carries the command and its output.
func Try(command string) (string, error) {
	words := strings.Fields(command)
	out, err := exec.Command(words[0], words[1:]...).CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s: %w: %s", command, err, out)
	}
	return string(out), nil
}
