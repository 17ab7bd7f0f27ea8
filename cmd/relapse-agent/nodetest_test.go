package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/agent"
)

// role makes the test's own binary another program: agent is relapse-agent; container is what a runtime does before that.
const role = "RELAPSE_AGENT_TEST"

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case "container":
		if err := becomeContainer(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case "agent":
		main()
	default:
		os.Exit(m.Run())
	}
}

// machine is a node of a cluster as a test has it: network, mounts, host name and process ids of its own.
type machine struct {
	t *testing.T
	// cgroups is the folder that containers' cgroups are made in.
	cgroups string
}

// newMachine runs the calling test again within a machine and returns nil: the caller then returns. Within it returns the machine.
func newMachine(t *testing.T) *machine {
	t.Helper()
	const within = "RELAPSE_AGENT_TEST_MACHINE"
	if os.Getenv(within) == t.Name() {
		for _, m := range []struct{ kind, at string }{{"proc", "/proc"}, {"tmpfs", "/run"}} {
			if err := unix.Mount(m.kind, m.at, m.kind, 0, ""); err != nil {
				t.Fatalf("mount %s: %v", m.at, err)
			}
		}
		return &machine{t: t, cgroups: os.Getenv("RELAPSE_AGENT_TEST_CGROUPS")}
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root: an agent finds a container by its cgroup and enters its namespaces")
	}
	cgroups := newCgroups(t)
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.count=1")
	cmd.Env = append(os.Environ(), within+"="+t.Name(), "RELAPSE_AGENT_TEST_CGROUPS="+cgroups)
	// A shell is the first process and not the test, because it takes orphans' statuses.
	cmd.Args = append([]string{"sh", "-c", `mount --make-rprivate / && "$@"; exit $?`, "sh"}, cmd.Args...)
	cmd.Path = "/bin/sh"
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS | syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL,
	}
	output, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) {
		t.Skipf("needs namespaces of its own: %v", err)
	}
	if err != nil {
		t.Fatalf("on a machine of its own: %v\n%s", err, output)
	}
	if strings.Contains(string(output), "--- SKIP: "+t.Name()+" ") {
		t.Skip(string(output))
	}
	t.Log(string(output))
	return nil
}

// newCgroups makes a folder for cgroups and removes it with what is in it.
func newCgroups(t *testing.T) string {
	t.Helper()
	var errs []error
	for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"} {
		if _, err := os.Stat(filepath.Join(root, "cgroup.procs")); err != nil {
			errs = append(errs, err)
			continue
		}
		dir, err := os.MkdirTemp(root, "relapse-test-")
		if err != nil {
			errs = append(errs, err)
			continue
		}
		t.Cleanup(func() {
			g := NewWithT(t)
			g.Eventually(func() (err error) {
				for _, pattern := range []string{"*/*", "*", ""} {
					folders, _ := filepath.Glob(filepath.Join(dir, pattern))
					for _, folder := range folders {
						if info, statErr := os.Stat(folder); statErr == nil && info.IsDir() {
							err = errors.Join(err, os.Remove(folder))
						}
					}
				}
				return err
			}, 10*time.Second).Should(Succeed())
		})
		return dir
	}
	t.Skipf("needs to make a cgroup: %v", errors.Join(errs...))
	return ""
}

// testPod is a pod: the namespaces that its containers share.
type testPod struct {
	m       *machine
	uid     string
	etc     string
	network string // /proc/PID/ns/net
}

// container is one that runs.
type container struct {
	id     string
	cmd    *exec.Cmd
	output *buffer
	ended  chan struct{}
}

type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}
func (b *buffer) String() string { b.mu.Lock(); defer b.mu.Unlock(); return b.text.String() }

func hexID(n int) string {
	raw := make([]byte, n/2)
	_, _ = rand.Read(raw)
	return hex.EncodeToString(raw)
}

// pod makes a pod with a resolv.conf and files of its own, by its first container.
func (m *machine) pod(words ...string) (*testPod, *container) {
	m.t.Helper()
	id := hexID(32)
	s := &testPod{m: m, uid: fmt.Sprintf("%s-%s-%s-%s-%s", id[:8], id[8:12], id[12:16], id[16:20], id[20:]), etc: m.t.TempDir()}
	g := NewWithT(m.t)
	g.Expect(os.WriteFile(filepath.Join(s.etc, "resolv.conf"), []byte("nameserver 127.0.0.1\noptions ndots:5\n"), 0o644)).To(Succeed())
	c := s.container(syscall.CLONE_NEWNET|syscall.CLONE_NEWUTS, words...)
	s.network = fmt.Sprintf("/proc/%d/ns/net", c.cmd.Process.Pid)
	return s, c
}

// container starts a container in the pod.
func (s *testPod) container(namespaces uintptr, words ...string) *container {
	s.m.t.Helper()
	g := NewWithT(s.m.t)
	c := &container{id: hexID(64), output: &buffer{}, ended: make(chan struct{})}
	cgroup := filepath.Join(s.m.cgroups, "kubelet-kubepods-besteffort-pod"+strings.ReplaceAll(s.uid, "-", "_")+".slice", "cri-containerd-"+c.id+".scope")
	g.Expect(os.MkdirAll(cgroup, 0o755)).To(Succeed())
	c.cmd = exec.Command(os.Args[0], words...)
	c.cmd.Env = append(os.Environ(), role+"=container", "CGROUP="+cgroup, "ETC="+s.etc, "NETWORK="+s.network)
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | namespaces, Pdeathsig: syscall.SIGKILL}
	c.cmd.Stdout, c.cmd.Stderr = c.output, c.output
	g.Expect(c.cmd.Start()).To(Succeed())
	go func() { _ = c.cmd.Wait(); close(c.ended) }()
	s.m.t.Cleanup(func() { _ = c.cmd.Process.Kill(); <-c.ended })
	return c
}

// becomeContainer does what a container runtime does, and then is the program.
func becomeContainer() error {
	if network := os.Getenv("NETWORK"); network != "" {
		fd, err := unix.Open(network, unix.O_RDONLY, 0)
		if err != nil {
			return err
		}
		if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
			return err
		}
	}
	// Before the mounts: by its number in the machine's process ids, which its own /proc does not show.
	if err := os.WriteFile(os.Getenv("CGROUP")+"/cgroup.procs", []byte("0"), 0o644); err != nil {
		return err
	}
	for _, m := range []struct {
		source, at, kind string
		flags            uintptr
	}{
		{"", "/", "", unix.MS_REC | unix.MS_PRIVATE}, {"proc", "/proc", "proc", 0}, {"tmpfs", "/run", "tmpfs", 0},
		{os.Getenv("ETC") + "/resolv.conf", "/etc/resolv.conf", "", unix.MS_BIND},
	} {
		if err := unix.Mount(m.source, m.at, m.kind, m.flags, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m.at, err)
		}
	}
	if err := os.Setenv(role, "agent"); err != nil {
		return err
	}
	return unix.Exec("/proc/self/exe", os.Args, os.Environ())
}

// process is an agent, as the exec API would have started it.
type process struct {
	*agent.Conn
	cmd   *exec.Cmd
	log   *buffer
	ended chan error
}

// agent starts relapse-agent in the machine.
func (m *machine) agent(name string, words ...string) *process {
	m.t.Helper()
	g := NewWithT(m.t)
	p := &process{cmd: exec.Command(os.Args[0], words...), log: &buffer{}, ended: make(chan error, 1)}
	p.cmd.Env = append(os.Environ(), role+"=agent")
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p.cmd.Stderr = p.log
	stdin, err := p.cmd.StdinPipe()
	g.Expect(err).NotTo(HaveOccurred())
	stdoutR, stdoutW := io.Pipe()
	p.cmd.Stdout = stdoutW
	g.Expect(p.cmd.Start()).To(Succeed())
	p.Conn = agent.NewConn(name, stdoutR, stdin)
	go func() {
		err := p.cmd.Wait()
		stdoutW.CloseWithError(fmt.Errorf("%w: %s", errOr(err), p.log))
		p.ended <- err
	}()
	m.t.Cleanup(func() { _ = p.cmd.Process.Kill(); <-p.Gone() })
	return p
}

func errOr(err error) error {
	if err == nil {
		return io.EOF
	}
	return err
}

// serving waits until the agent answers.
func (p *process) serving(t *testing.T) *process {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := agent.Hello.Call(ctx, p.Conn, agent.None{}, nil); err != nil {
		t.Fatal(err)
	}
	return p
}
