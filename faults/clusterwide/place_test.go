package clusterwide_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/agent/fingerprint"
	"github.com/relapse-k8s/relapse/clusters/agent/netconf"
	"github.com/relapse-k8s/relapse/clusters/agent/probes"
	"github.com/relapse-k8s/relapse/clusters/agent/program"
	"github.com/relapse-k8s/relapse/clusters/agent/readers"
	"github.com/relapse-k8s/relapse/clusters/agent/undo"
	"github.com/relapse-k8s/relapse/clusters/netfilter/ctnetlink"
	"github.com/relapse-k8s/relapse/faults"
)

// The test's own program is everything that a place needs: it is started again as the place's first process, which makes the namespaces
// a node, as the agent that lives there, as a server that echoes, and as a stand-in for CoreDNS.
const actAs = "RELAPSE_CONTRACT_TEST"

func TestMain(m *testing.M) {
	act := map[string]func() error{"place": actPlace, "agent": actAgent, "echo": actEcho}[os.Getenv(actAs)]
	if filepath.Base(os.Args[0]) == "relapse-coredns" {
		act = actCoreDNS
	}
	if act == nil {
		os.Exit(m.Run())
	}
	if err := act(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Operations of the test's places. Those of the first process go on when the agent was killed.
var (
	killAgent = agent.Op[agent.None, agent.None, agent.None]{Name: "test/kill"}
	// recoverPlace undoes what the journal of a dead agent leaves.
	recoverPlace = agent.Op[agent.None, agent.None, agent.None]{Name: "test/recover"}
	// readState describes what a fingerprint leaves out.
	readState = agent.Op[agent.None, agent.None, state]{Name: "test/state"}
	shell     = agent.Op[string, agent.None, string]{Name: "test/shell"}

	// refuseRecord has the agent's undo list refuse the nth record from now on; 0 is none.
	refuseRecord = agent.Op[int64, agent.None, agent.None]{Name: "test/refuse"}
	// addEntry adds an entry of a UDP flow to this port to the conntrack table.
	addEntry = agent.Op[uint16, agent.None, agent.None]{Name: "test/entry"}
)

// state is what a place has beside its network: the files of /etc and /run, its processes, and the entries that change occupy made.
type state struct {
	Files     map[string]string
	Processes []string
	Occupied  int
}

const (
	journalPath = "/run/journal"
	cniConfig   = "/etc/cni/net.d/10-relapse.conflist"
)

// cniText has five addresses for pods.
const cniText = `{"cniVersion": "1.0.0", "name": "test", "plugins": [{"type": "ptp", "ipam": {"type": "host-local", "dataDir": "/run/leases", "ranges": [[{"subnet": "10.244.1.0/29"}]]}}]}` + "\n"

// actPlace makes the namespaces a node, starts its agent, and serves the test.
func actPlace() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	for _, m := range []struct{ kind, at string }{{"proc", "/proc"}, {"tmpfs", "/run"}, {"tmpfs", "/etc"}} {
		if err := unix.Mount(m.kind, m.at, m.kind, 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m.at, err)
		}
	}
	for path, content := range map[string]string{
		"/etc/resolv.conf": "nameserver 10.96.0.10\noptions ndots:5\n", "/etc/hosts": "127.0.0.1 localhost\n", cniConfig: cniText, "/run/max": "9999\n",
	} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
			return err
		}
	}
	// The limit belongs to the machine: here a file takes its place. Like the limit it is written without being truncated.
	if err := unix.Mount("/run/max", "/proc/sys/net/netfilter/nf_conntrack_max", "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("nf_conntrack_max: %w", err)
	}
	if _, err := netconf.HandleConfigure(context.Background(), netconf.Config{Links: []netconf.Link{{Name: "lo"}}}, nil); err != nil {
		return err
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), actAs+"=agent")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.NewFile(3, "requests"), os.NewFile(4, "answers"), os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := errors.Join(cmd.Stdin.(*os.File).Close(), cmd.Stdout.(*os.File).Close()); err != nil {
		return err
	}
	ops := map[string]agent.Handler{}
	killAgent.Handle(ops, func(context.Context, agent.None, func(agent.None)) (agent.None, error) {
		err := cmd.Process.Kill()
		_ = cmd.Wait() // it says that it was killed
		return agent.None{}, err
	})
	recoverPlace.Handle(ops, func(ctx context.Context, _ agent.None, _ func(agent.None)) (agent.None, error) {
		_, err := undo.UndoPending(ctx, journalPath, nil)
		return agent.None{}, err
	})
	readers.TakeFingerprint.Handle(ops, readers.HandleFingerprint)
	readState.Handle(ops, handleState)
	shell.Handle(ops, func(ctx context.Context, script string, _ func(agent.None)) (string, error) {
		output, err := exec.CommandContext(ctx, "sh", "-c", script).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%s: %w: %s", script, err, output)
		}
		return string(output), err
	})
	return agent.Serve(context.Background(), os.Stdin, os.Stdout, ops)
}

func handleState(ctx context.Context, _ agent.None, _ func(agent.None)) (state, error) {
	s := state{Files: map[string]string{}}
	for _, root := range []string{"/etc", "/run"} {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			// A file that is locked has to stay: another process may hold it open.
			if err != nil || !entry.Type().IsRegular() || path == journalPath || filepath.Ext(path) == ".lock" {
				return err
			}
			text, err := os.ReadFile(path)
			s.Files[path] = fmt.Sprintf("%x", sha256.Sum256(text))
			return err
		})
		if err != nil {
			return s, err
		}
	}
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return s, err
	}
	for _, path := range commands {
		if text, err := os.ReadFile(path); err == nil && len(text) > 0 { // else it has just ended
			s.Processes = append(s.Processes, strings.ReplaceAll(string(text), "\x00", " "))
		}
	}
	slices.Sort(s.Processes)
	table, err := ctnetlink.Open()
	if err != nil {
		return s, err
	}
	defer table.Close()
	entries, err := table.List(ctx, ctnetlink.Filter{})
	for _, e := range entries {
		if e.Mark == 0x52454c50 {
			s.Occupied++
		}
	}
	return s, err
}

// actAgent serves a place as relapse-agent does on a node of kind, with a journal.
func actAgent() error {
	journal, err := undo.OpenJournal(journalPath)
	if err != nil {
		return err
	}
	var refuse atomic.Int64
	stack := &undo.Stack{Journal: journal, Refuse: func(r undo.Record) error {
		if refuse.Load() > 0 && refuse.Add(-1) == 0 {
			return fmt.Errorf("refused to %s", r)
		}
		return nil
	}}
	ops := map[string]agent.Handler{}
	programs, clients := program.NewManager(), &probes.Server{}
	programs.Register(ops)
	clients.Register(ops)
	(&faults.Server{Stack: stack, Own: programs, Programs: programs, Clients: clients}).Register(ops)
	refuseRecord.Handle(ops, func(_ context.Context, n int64, _ func(agent.None)) (agent.None, error) {
		refuse.Store(n)
		return agent.None{}, nil
	})
	addEntry.Handle(ops, func(ctx context.Context, port uint16, _ func(agent.None)) (agent.None, error) {
		table, err := ctnetlink.Open()
		if err != nil {
			return agent.None{}, err
		}
		defer table.Close()
		return agent.None{}, table.Create(ctx, ctnetlink.Entry{
			Proto: unix.IPPROTO_UDP, Timeout: 100 * time.Second, Status: ctnetlink.Established,
			Orig: ctnetlink.Tuple{Src: netip.MustParseAddrPort("10.244.1.2:1000"), Dst: netip.AddrPortFrom(netip.MustParseAddr("10.96.0.125"), port)},
		})
	})
	err = agent.Serve(context.Background(), os.Stdin, os.Stdout, ops)
	return errors.Join(err, stack.Close(context.Background()))
}

// actEcho sends back what it gets, over TCP and UDP, at the address of its first argument, and says when it listens.
func actEcho() error {
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		return err
	}
	packets, err := net.ListenPacket("udp", os.Args[1])
	if err != nil {
		return err
	}
	fmt.Println(`{"listens":true}`)
	go func() {
		buffer := make([]byte, 1500)
		for {
			n, from, err := packets.ReadFrom(buffer)
			if err != nil {
				return
			}
			_, _ = packets.WriteTo(buffer[:n], from)
		}
	}()
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			_, _ = io.Copy(conn, conn)
		}()
	}
}

// actCoreDNS listens where its Corefile says, as relapse-coredns does.
func actCoreDNS() error {
	text, err := os.ReadFile(os.Args[slices.Index(os.Args, "--conf")+1])
	if err != nil {
		return err
	}
	_, rest, _ := strings.Cut(string(text), "bind ")
	listener, err := net.Listen("tcp", net.JoinHostPort(strings.Fields(rest)[0], "53"))
	if err != nil {
		return err
	}
	fmt.Println(`{"synced":0}`)
	for {
		if _, err := listener.Accept(); err != nil {
			return err
		}
	}
}

// place is a node of the test: a process with namespaces of its own, and an agent in them.
type place struct {
	// conn is the stream to the agent, and first the one to the place's first process.
	conn, first *agent.Conn
}

// programs is a folder with the test's program as agents, CoreDNS and servers.
func programs(t *testing.T) string {
	t.Helper()
	g := NewWithT(t)
	self, err := os.ReadFile("/proc/self/exe")
	g.Expect(err).NotTo(HaveOccurred())
	dir := t.TempDir()
	agentPath := filepath.Join(dir, "relapse-agent")
	g.Expect(os.WriteFile(agentPath, self, 0o755)).To(Succeed())
	g.Expect(os.Link(agentPath, filepath.Join(dir, "relapse-coredns"))).To(Succeed())
	return dir
}

// newPlace starts a place, or skips the test if this user may not make namespaces.
func newPlace(t *testing.T, bin, name string) *place {
	t.Helper()
	g := NewWithT(t)
	pipe := func() (r, w *os.File) {
		r, w, err := os.Pipe()
		g.Expect(err).NotTo(HaveOccurred())
		return r, w
	}
	requestR, requestW := pipe()
	answerR, answerW := pipe()
	cmd := exec.Command(filepath.Join(bin, "relapse-agent"))
	cmd.Env = append(os.Environ(), actAs+"=place")
	cmd.ExtraFiles = []*os.File{requestR, answerW}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL,
	}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	stdin, err := cmd.StdinPipe()
	g.Expect(err).NotTo(HaveOccurred())
	stdout, err := cmd.StdoutPipe()
	g.Expect(err).NotTo(HaveOccurred())
	cmd.Stderr = t.Output()
	err = cmd.Start()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.ENOSPC) {
		t.Skipf("needs namespaces of its own: %v", err)
	}
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(errors.Join(requestR.Close(), answerW.Close())).To(Succeed())
	p := &place{conn: agent.NewConn(name, answerR, requestW), first: agent.NewConn(name+" (first process)", stdout, stdin)}
	t.Cleanup(func() {
		_ = p.conn.Close() // it may be gone already
		<-p.conn.Gone()
		_ = p.first.Close()
		<-p.first.Gone()
		_ = cmd.Wait() // ends with its stream
	})
	_, err = agent.Hello.Call(t.Context(), p.conn, agent.None{}, nil)
	g.Expect(err).NotTo(HaveOccurred())
	return p
}

// must makes a call that has to go well.
func must[P, E, R any](t *testing.T, op agent.Op[P, E, R], conn *agent.Conn, params P) R {
	t.Helper()
	result, err := op.Call(t.Context(), conn, params, nil)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return result
}

// look describes a place whole.
func (p *place) look(t *testing.T) (fingerprint.Fingerprint, state) {
	t.Helper()
	return must(t, readers.TakeFingerprint, p.first, fingerprint.Options{}), must(t, readState, p.first, agent.None{})
}

// asJSON is how settings travel.
func asJSON(t *testing.T, value any) json.RawMessage {
	t.Helper()
	text, err := json.Marshal(value)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return text
}
