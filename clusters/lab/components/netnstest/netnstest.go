// Package netnstest runs a test in a network namespace of its own, with nothing in it but a loopback that is up.
//
// It stands beside the main module's undo/nstest because a requirement on that module would choose the versions of golang.org/x that
// kube-proxy and CoreDNS are built with here.
package netnstest

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
)

const inside = "RELAPSE_TEST_INSIDE_NETNS"

// Run has body run in a child: this test binary again, only this test, born in a new network namespace, so that all its
// threads are in it and the kernel removes it with the process. If that is not permitted the test is skipped.
func Run(t *testing.T, body func(t *testing.T)) {
	t.Helper()
	if os.Getenv(inside) == t.Name() {
		lo, err := netlink.LinkByName("lo")
		if err == nil {
			err = netlink.LinkSetUp(lo)
		}
		if err != nil {
			t.Fatalf("bringing lo up: %v", err)
		}
		body(t)
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=2m")
	cmd.Env = append(os.Environ(), inside+"="+t.Name())
	// The kernel watches the parent thread, not the process: it must not end before the child does.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	output, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
		t.Skipf("skipped: making a network namespace is not permitted: %v", err)
	}
	if err != nil {
		t.Fatalf("in its own namespace: %v\n%s", err, output)
	}
	if strings.Contains(string(output), "--- SKIP: "+t.Name()) {
		t.Skipf("in its own namespace:\n%s", output)
	}
	t.Logf("in its own namespace:\n%s", output)
}
