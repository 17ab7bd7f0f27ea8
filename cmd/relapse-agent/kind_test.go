package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/relapse-k8s/relapse/clusters/agent/changes"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/agent/procs"
	"github.com/relapse-k8s/relapse/clusters/agent/program"
	"github.com/relapse-k8s/relapse/clusters/agent/readers"
	"github.com/relapse-k8s/relapse/clusters/agent/undo/nstest"
)

// apply makes a change at an agent.
func apply(t *testing.T, conn *agent.Conn, name, config string) error {
	t.Helper()
	_, err := changes.Apply.Call(t.Context(), conn, changes.Request{
		ID: name, Name: name, Config: json.RawMessage(config), Run: "20261121-000000-abcd", Place: conn.Name(),
	}, nil)
	return err
}

// inPod runs a command in the network of a container.
func inPod(c *container, command string) func() (string, error) {
	return func() (string, error) {
		return nstest.Try(fmt.Sprintf("nsenter --net=/proc/%d/ns/net %s", c.cmd.Process.Pid, command))
	}
}

func journalsIn(g Gomega) []string {
	found, err := filepath.Glob("/run/relapse/journals/[0-9]*")
	g.Expect(err).NotTo(HaveOccurred())
	return found
}

func TestAPodsAgentActsInThePod(t *testing.T) {
	m := newMachine(t)
	if m == nil {
		return
	}
	g := NewWithT(t)
	pod, main := m.pod("contain", "main", "--", "/proc/self/exe", "pause")
	ours, err := os.ReadFile("/etc/resolv.conf")
	g.Expect(err).NotTo(HaveOccurred())
	g.Eventually(main.supervised, time.Minute).Should(BeTrue(), main.output)

	p := m.agent("pod/client", "pod", "containerd://"+main.id, "20261121-000000-abcd", "pod/client").serving(t)
	g.Expect(apply(t, p.Conn, "sysctl", `{"key": "net.ipv4.ip_forward", "value": "1"}`)).To(Succeed())
	g.Expect(apply(t, p.Conn, "dns-config", `{"options": ["ndots:2"]}`)).To(Succeed())
	g.Expect(inPod(main, "cat /proc/sys/net/ipv4/ip_forward")()).To(Equal("1\n"))
	g.Expect(nstest.Must(t, "cat /proc/sys/net/ipv4/ip_forward")).To(Equal("0\n"))
	// The pod sees the change in its own file, and the agent what the pod sees.
	g.Expect(os.ReadFile(fmt.Sprintf("/proc/%d/root/etc/resolv.conf", main.cmd.Process.Pid))).To(BeEquivalentTo("nameserver 127.0.0.1\noptions ndots:2\n"))
	g.Expect(os.ReadFile(filepath.Join(pod.etc, "resolv.conf"))).To(BeEquivalentTo("nameserver 127.0.0.1\noptions ndots:2\n"))
	g.Expect(readers.RunCommand.Call(t.Context(), p.Conn, []string{"cat", "/etc/resolv.conf"}, nil)).To(ContainSubstring("ndots:2"))
	g.Expect(os.ReadFile("/etc/resolv.conf")).To(Equal(ours))
	// What belongs to the whole machine is refused.
	g.Expect(changes.Undo.Call(t.Context(), p.Conn, "sysctl", nil)).Error().NotTo(HaveOccurred())
	g.Expect(inPod(main, "cat /proc/sys/net/ipv4/ip_forward")()).To(Equal("0\n"))
	g.Expect(apply(t, p.Conn, "sysctl", `{"key": "net.netfilter.nf_conntrack_max", "value": "100"}`)).To(MatchError(Or(
		ContainSubstring("holds for the whole machine"), ContainSubstring("initial network namespace"))))
	g.Expect(apply(t, p.Conn, "sysctl", `{"key": "net.ipv4.ip_forward", "value": "1"}`)).To(Succeed())
	g.Expect(journalsIn(g)).To(HaveLen(1))

	g.Expect(p.Close()).To(Succeed())
	g.Eventually(p.ended, time.Minute).Should(Receive(BeNil()), p.log)
	g.Expect(inPod(main, "cat /proc/sys/net/ipv4/ip_forward")()).To(Equal("0\n"))
	g.Expect(os.ReadFile(filepath.Join(pod.etc, "resolv.conf"))).To(BeEquivalentTo("nameserver 127.0.0.1\noptions ndots:5\n"))
	g.Expect(journalsIn(g)).To(BeEmpty())
}

func TestANodesAgentActsOnTheNode(t *testing.T) {
	m := newMachine(t)
	if m == nil {
		return
	}
	g := NewWithT(t)
	p := m.agent("node/node-1", "node", "20261121-000000-abcd", "node/node-1").serving(t)
	g.Expect(apply(t, p.Conn, "sysctl", `{"key": "net.ipv4.ip_forward", "value": "1"}`)).To(Succeed())
	g.Expect(os.ReadFile("/proc/sys/net/ipv4/ip_forward")).To(BeEquivalentTo("1\n"))
	// Told to end, it undoes as well.
	g.Expect(p.cmd.Process.Signal(syscall.SIGTERM)).To(Succeed())
	g.Eventually(p.ended, time.Minute).Should(Receive())
	g.Expect(os.ReadFile("/proc/sys/net/ipv4/ip_forward")).To(BeEquivalentTo("0\n"))
	g.Expect(journalsIn(g)).To(BeEmpty())
}

// A frozen process goes on when the change is undone, and when the agent that has frozen it is killed.
func TestANodesAgentFreezesProcesses(t *testing.T) {
	m := newMachine(t)
	if m == nil {
		return
	}
	g := NewWithT(t)
	program := exec.Command("sleep", "1000")
	g.Expect(program.Start()).To(Succeed())
	t.Cleanup(func() { _ = program.Process.Kill() })
	stopped := func() (bool, error) { return procs.Stopped(program.Process.Pid) }
	m.agent("keep", "keep")
	for _, killed := range []bool{false, true} {
		p := m.agent("node/node-1", "node", "20261121-000000-abcd", "node/node-1").serving(t)
		g.Expect(apply(t, p.Conn, "freeze", `{"program": "sleepy"}`)).To(MatchError(ContainSubstring("no process sleepy runs on this node")))
		g.Expect(apply(t, p.Conn, "freeze", `{"program": "relapse-agent"}`)).To(MatchError(Or(ContainSubstring("not to be frozen"), ContainSubstring("no process"))))
		g.Expect(apply(t, p.Conn, "freeze", `{"program": "sleep"}`)).To(Succeed())
		g.Eventually(stopped, time.Minute).Should(BeTrue())
		g.Expect(changes.Read.Call(t.Context(), p.Conn, "freeze", nil)).To(HaveKeyWithValue("frozen", 1.0))
		// One that starts later is not in the way.
		later := exec.Command("sleep", "1000")
		g.Expect(later.Start()).To(Succeed())
		g.Expect(apply(t, p.Conn, "resume", `{"program": "sleep"}`)).To(Succeed())
		g.Eventually(stopped, time.Minute).Should(BeFalse())
		g.Expect(changes.Undo.Call(t.Context(), p.Conn, "resume", nil)).Error().NotTo(HaveOccurred())
		g.Eventually(stopped, time.Minute).Should(BeTrue())
		g.Expect(procs.Stopped(later.Process.Pid)).To(BeFalse())
		g.Expect(later.Process.Kill()).To(Succeed())
		g.Expect(later.Wait()).To(HaveOccurred())
		if killed {
			g.Expect(p.cmd.Process.Kill()).To(Succeed())
		} else {
			g.Expect(changes.Undo.Call(t.Context(), p.Conn, "freeze", nil)).Error().NotTo(HaveOccurred())
			g.Expect(p.Close()).To(Succeed())
		}
		g.Eventually(stopped, time.Minute).Should(BeFalse())
	}
}

func TestAContainerThatIsNotThereIsSaid(t *testing.T) {
	m := newMachine(t)
	if m == nil {
		return
	}
	g := NewWithT(t)
	for id, want := range map[string]string{hexID(64): "file does not exist among the 0 containers of this node", "abc": "not the id of a container"} {
		p := m.agent("pod/client", "pod", id, "20261121-000000-abcd", "pod/client")
		g.Eventually(p.ended, time.Minute).Should(Receive(HaveOccurred()))
		g.Expect(p.log.String()).To(ContainSubstring(want))
	}
}

// Killed agents: keep undoes in the pod's namespaces and files what they cannot, also when it was killed itself meanwhile.
func TestKeepUndoesWhatAKilledAgentLeft(t *testing.T) {
	m := newMachine(t)
	if m == nil {
		return
	}
	g := NewWithT(t)
	pod, main := m.pod("contain", "main", "--", "/proc/self/exe", "pause")
	g.Eventually(main.supervised, time.Minute).Should(BeTrue(), main.output)
	before, err := inPod(main, "nft list ruleset")()
	g.Expect(err).NotTo(HaveOccurred())
	ports, err := inPod(main, "cat /proc/sys/net/ipv4/ip_local_port_range")()
	g.Expect(err).NotTo(HaveOccurred())
	keep := m.agent("keep", "keep")
	kill := func(p *process) {
		g.Expect(p.cmd.Process.Kill()).To(Succeed())
		g.Eventually(p.ended, time.Minute).Should(Receive())
	}
	for _, keepDies := range []bool{false, true} {
		// The next agent comes at once: it must not take for the pod's own what the last one has left.
		p := m.agent("pod/client", "pod", main.id, "20261121-000000-abcd", "pod/client").serving(t)
		g.Expect(apply(t, p.Conn, "sysctl", `{"key": "net.ipv4.ip_forward", "value": "1"}`)).To(Succeed())
		g.Expect(apply(t, p.Conn, "packets", `{"at": "forward", "state": "invalid", "drop": "100%"}`)).To(Succeed())
		g.Expect(apply(t, p.Conn, "dns-config", `{"options": ["ndots:2"]}`)).To(Succeed())
		g.Expect(exec.Command("nsenter", fmt.Sprintf("--net=/proc/%d/ns/net", main.cmd.Process.Pid), "sysctl", "-w", "net.ipv4.ip_local_port_range=20000 20007").Run()).To(Succeed())
		g.Expect(inPod(main, "nft list ruleset")()).NotTo(Equal(before))
		if keepDies {
			kill(keep)
		}
		kill(p)
		if keepDies {
			g.Expect(journalsIn(g)).To(HaveLen(1))
			keep = m.agent("keep", "keep")
		}
		g.Eventually(func() []string { return journalsIn(g) }, time.Minute).Should(BeEmpty(), keep.log)
		g.Expect(inPod(main, "cat /proc/sys/net/ipv4/ip_forward")()).To(Equal("0\n"))
		g.Expect(inPod(main, "nft list ruleset")()).To(Equal(before))
		g.Expect(inPod(main, "cat /proc/sys/net/ipv4/ip_local_port_range")()).To(Equal(ports))
		g.Expect(os.ReadFile(filepath.Join(pod.etc, "resolv.conf"))).To(BeEquivalentTo("nameserver 127.0.0.1\noptions ndots:5\n"))
		g.Expect(keep.log.String()).To(ContainSubstring("died without undoing its changes"))
	}
	// A pod that is gone has nothing left to undo, and its journal goes.
	p := m.agent("pod/client", "pod", main.id, "20261121-000000-abcd", "pod/client").serving(t)
	g.Expect(apply(t, p.Conn, "sysctl", `{"key": "net.ipv4.ip_forward", "value": "1"}`)).To(Succeed())
	kill(keep)
	kill(p)
	g.Expect(main.cmd.Process.Kill()).To(Succeed())
	<-main.ended
	keep = m.agent("keep", "keep")
	g.Eventually(func() []string { return journalsIn(g) }, time.Minute).Should(BeEmpty(), keep.log)
	g.Expect(keep.log.String()).To(ContainSubstring("the place is gone"))
}

func TestTheNextAgentWaitsForKeep(t *testing.T) {
	m := newMachine(t)
	if m == nil {
		return
	}
	g := NewWithT(t)
	p := m.agent("node/node-1", "node", "20261121-000000-abcd", "node/node-1").serving(t)
	g.Expect(apply(t, p.Conn, "sysctl", `{"key": "net.ipv4.ip_forward", "value": "1"}`)).To(Succeed())
	g.Expect(p.cmd.Process.Kill()).To(Succeed())
	g.Eventually(p.ended, time.Minute).Should(Receive())
	next := m.agent("node/node-1", "node", "20261121-000000-abcd", "node/node-1")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	g.Expect(agent.Hello.Call(ctx, next.Conn, agent.None{}, nil)).Error().To(MatchError(context.DeadlineExceeded))
	m.agent("keep", "keep")
	next.serving(t)
	g.Expect(os.ReadFile("/proc/sys/net/ipv4/ip_forward")).To(BeEquivalentTo("0\n"))
}

// supervised is whether the container's supervisor listens.
func (c *container) supervised() bool {
	conn, err := net.Dial("unix", fmt.Sprintf("/proc/%d/root/run/relapse/contain.sock", c.cmd.Process.Pid))
	if err == nil {
		conn.Close()
	}
	return err == nil
}

// A container with two programs' worth of files: it is started again with others, and as it was when the agent has died.
func TestAContainerIsStartedAgainAndAsItWas(t *testing.T) {
	m := newMachine(t)
	if m == nil {
		return
	}
	g := NewWithT(t)
	config := t.TempDir()
	g.Expect(os.Mkdir(filepath.Join(config, "..data"), 0o755)).To(Succeed())
	g.Expect(os.WriteFile(filepath.Join(config, "..data", "app.conf"), []byte("one"), 0o644)).To(Succeed())
	g.Expect(os.Symlink("..data/app.conf", filepath.Join(config, "app.conf"))).To(Succeed())
	pod, main := m.pod("contain", "main", "copy="+config+":/run/app", "--", "/proc/self/exe", "http", "127.0.0.1:8080")
	side := pod.container(0, "contain", "side", "command=3", "--", "/bin/sh", "-c", `echo "say $0 $(cat /proc/1/comm)" ; exec sleep 1000`, "one")
	g.Eventually(main.supervised, time.Minute).Should(BeTrue(), main.output)
	g.Eventually(side.supervised, time.Minute).Should(BeTrue(), side.output)
	nstest.Must(t, fmt.Sprintf("nsenter --net=/proc/%d/ns/net ip link set lo up", main.cmd.Process.Pid))
	inContainer := func(path string) func() (string, error) {
		return func() (string, error) {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/root%s", main.cmd.Process.Pid, path))
			return string(text), err
		}
	}
	g.Eventually(inContainer("/run/app/app.conf"), time.Minute).Should(Equal("one"))
	g.Eventually(side.output.String, time.Minute).Should(ContainSubstring("say one")) // the program's output is the container's

	start := func() (*process, program.Keeper) {
		p := m.agent("pod/client", "pod", main.id, "20261121-000000-abcd", "pod/client").serving(t)
		return p, program.Remote{Conn: p.Conn}
	}
	p, programs := start()
	g.Expect(programs.Names(t.Context())).To(ConsistOf("main", "side"))
	g.Eventually(func() ([]uint16, error) { return programs.Ports(t.Context(), "main") }, time.Minute).Should(ConsistOf(uint16(8080)))
	g.Expect(programs.Spec(t.Context(), "nobody")).Error().To(MatchError(ContainSubstring("no container nobody runs in this pod; there are [main side]")))

	change := `{"container": "main", "files": {"app.conf": "two"}, "args": ["http", "127.0.0.1:8080", "h2c"]}`
	running := func() (map[string]float64, error) {
		return changes.Read.Call(t.Context(), p.Conn, "restart-container", nil)
	}
	g.Expect(apply(t, p.Conn, "restart-container", change)).To(Succeed())
	g.Expect(running()).To(HaveKeyWithValue("running", 1.0))
	g.Expect(inContainer("/run/app/app.conf")()).To(Equal("two"))
	g.Expect(changes.Undo.Call(t.Context(), p.Conn, "restart-container", nil)).Error().NotTo(HaveOccurred())
	g.Expect(inContainer("/run/app/app.conf")()).To(Equal("one"))

	// A program of the agent's own is none of the container's.
	g.Expect(program.Start.Call(t.Context(), p.Conn, program.Spec{Name: "own", Argv: []string{"sleep", "1000"}}, nil)).Error().NotTo(HaveOccurred())
	g.Expect(programs.Names(t.Context())).To(ConsistOf("own", "main", "side"))

	// A restart that fails is undone, and the container is still the same one.
	g.Expect(apply(t, p.Conn, "restart-container", `{"container": "main", "args": ["http", "nowhere"]}`)).To(MatchError(ContainSubstring("address nowhere")))
	g.Expect(programs.Alive(t.Context(), "main")).To(Succeed())

	// The agent is killed: the supervisor puts its program back.
	g.Expect(apply(t, p.Conn, "restart-container", change)).To(Succeed())
	g.Expect(p.cmd.Process.Kill()).To(Succeed())
	g.Eventually(inContainer("/run/app/app.conf"), time.Minute).Should(Equal("one"))
	m.agent("keep", "keep")
	p, programs = start()
	g.Eventually(func() error { return programs.Alive(t.Context(), "main") }, time.Minute).Should(Succeed())
	now, err := programs.Spec(t.Context(), "main")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(strings.Join(now.Argv, " ")).To(Equal("/proc/self/exe http 127.0.0.1:8080"))

	// So it does if the agent had frozen it.
	frozen := func() (bool, error) { return programs.Frozen(t.Context(), "main") }
	g.Expect(apply(t, p.Conn, "freeze", `{"program": "main"}`)).To(Succeed())
	g.Eventually(frozen, time.Minute).Should(BeTrue())
	g.Expect(p.cmd.Process.Kill()).To(Succeed())
	p, programs = start()
	g.Eventually(frozen, time.Minute).Should(BeFalse())

	// Lines are heard, also of a container that the kubelet has made anew.
	heard := make(chan string, 10)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- programs.Follow(ctx, program.Following{Name: "side", Match: []string{"^say "}}, func(line string) { heard <- line })
	}()
	sideNow := side
	g.Eventually(func() string {
		g.Expect(sideNow.cmd.Process.Kill()).To(Succeed())
		<-sideNow.ended
		sideNow = pod.container(0, "contain", "side", "command=3", "--", "/bin/sh", "-c", "while sleep 0.05; do echo say again; done", "one")
		select {
		case line := <-heard:
			return line
		case <-time.After(5 * time.Second):
			return ""
		}
	}, time.Minute).Should(Equal("say again"))
	cancel()
	g.Eventually(ended, time.Minute).Should(Receive(BeNil()))
}

func TestAContainerEndsWithItsProgram(t *testing.T) {
	m := newMachine(t)
	if m == nil {
		return
	}
	g := NewWithT(t)
	// By itself, with its status; orphans are reaped meanwhile, and are not the program.
	_, c := m.pod("contain", "main", "--", "/bin/sh", "-c", `(sleep 0.01 &) ; sleep 0.1; echo "zombies: $(grep -ls '^State:.Z' /proc/[0-9]*/status | wc -l)"; exit 7`)
	g.Eventually(c.ended, time.Minute).Should(BeClosed())
	g.Expect(c.cmd.ProcessState.ExitCode()).To(Equal(7))
	g.Expect(c.output.String()).To(ContainSubstring("zombies: 0"))
	// Told to, with what it makes of that.
	_, c = m.pod("contain", "main", "--", "/bin/sh", "-c", `trap 'echo told; exit 3' TERM; echo ready; while :; do sleep 0.05; done`)
	g.Eventually(c.output.String, time.Minute).Should(ContainSubstring("ready"))
	g.Expect(c.cmd.Process.Signal(syscall.SIGTERM)).To(Succeed())
	g.Eventually(c.ended, time.Minute).Should(BeClosed())
	g.Expect(c.cmd.ProcessState.ExitCode()).To(Equal(3))
	g.Expect(c.output.String()).To(ContainSubstring("told"))
	// Killed.
	_, c = m.pod("contain", "main", "--", "/bin/sh", "-c", `kill -9 $$`)
	g.Eventually(c.ended, time.Minute).Should(BeClosed())
	g.Expect(c.cmd.ProcessState.ExitCode()).To(Equal(128 + 9))
	// Not there at all.
	_, c = m.pod("contain", "main", "--", "/no/such/program")
	g.Eventually(c.ended, time.Minute).Should(BeClosed())
	g.Expect(c.cmd.ProcessState.ExitCode()).To(Equal(1))
	g.Expect(c.output.String()).To(ContainSubstring("/no/such/program"))
}
