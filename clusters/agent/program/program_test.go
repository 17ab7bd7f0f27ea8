package program_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"go.uber.org/goleak"

	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/agent/program"
)

// act makes the test's own binary a program: listen ADDRESS, or fail.
const act = "RELAPSE_PROGRAM_TEST"

func TestMain(m *testing.M) {
	switch address := os.Getenv(act); address {
	case "":
		goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/relapse-k8s/relapse/clusters/agent/procs.startChildren"))
	case "fail":
		fmt.Fprintln(os.Stderr, "no such setting")
		os.Exit(3)
	default:
		listener, err := net.Listen("tcp", address)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println("out: listening, text", os.Getenv("TEXT"))
		fmt.Fprintln(os.Stderr, "err: listening")
		for {
			if _, err := listener.Accept(); err != nil {
				os.Exit(1)
			}
		}
	}
}

func spec(address string, env ...string) program.Spec {
	return program.Spec{Name: "main", Argv: []string{os.Args[0]}, Command: 1, Env: append(env, act+"="+address)}
}

// freePort is a port that nobody listens on.
func freePort(t *testing.T) (string, uint16) {
	t.Helper()
	g := NewWithT(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	g.Expect(err).NotTo(HaveOccurred())
	address := listener.Addr().String()
	g.Expect(listener.Close()).To(Succeed())
	_, text, err := net.SplitHostPort(address)
	g.Expect(err).NotTo(HaveOccurred())
	port, err := strconv.ParseUint(text, 10, 16)
	g.Expect(err).NotTo(HaveOccurred())
	return address, uint16(port)
}

func started(t *testing.T, s program.Spec) *program.Manager {
	t.Helper()
	m := program.NewManager()
	NewWithT(t).Expect(m.Start(s)).To(Succeed())
	t.Cleanup(func() { NewWithT(t).Expect(m.Stop(s.Name)).To(Succeed()) })
	return m
}

func ports(m *program.Manager) func() ([]uint16, error) {
	return func() ([]uint16, error) { return m.Ports(context.Background(), "main") }
}

func TestPortsAreThoseOfTheProgramAlone(t *testing.T) {
	g := NewWithT(t)
	other, err := net.Listen("tcp", "127.0.0.1:0")
	g.Expect(err).NotTo(HaveOccurred())
	defer other.Close()
	address, port := freePort(t)
	m := started(t, spec(address))
	g.Eventually(ports(m), time.Minute).Should(Equal([]uint16{port}))
}

func TestRestartReturnsWhenTheProgramListens(t *testing.T) {
	g := NewWithT(t)
	address, port := freePort(t)
	m := started(t, spec(address))
	g.Eventually(ports(m), time.Minute).Should(ConsistOf(port))
	g.Expect(m.Restart(t.Context(), spec(address, "TEXT=other"), []uint16{port})).To(Succeed())
	g.Expect(m.Ports(context.Background(), "main")).To(ConsistOf(port))
	now, err := m.Spec(t.Context(), "main")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(now.Env).To(ContainElement("TEXT=other"))
	g.Expect(m.Alive(t.Context(), "main")).To(Succeed())
}

func TestRestartSaysWhyTheProgramDoesNotListen(t *testing.T) {
	g := NewWithT(t)
	address, port := freePort(t)
	m := started(t, spec(address))
	g.Eventually(ports(m), time.Minute).Should(ConsistOf(port))

	err := m.Restart(t.Context(), spec("fail"), []uint16{port})
	g.Expect(err).To(MatchError(And(ContainSubstring("exit status 3"), ContainSubstring("no such setting"))))
	g.Expect(m.Alive(t.Context(), "main")).To(MatchError(ContainSubstring("no such setting")))

	elsewhere, another := freePort(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Restart(ctx, spec(elsewhere), []uint16{port}) }()
	g.Eventually(ports(m), time.Minute).Should(ConsistOf(another))
	cancel()
	g.Eventually(done, time.Minute).Should(Receive(MatchError(And(
		ContainSubstring(fmt.Sprintf("listens on [%d]", another)), ContainSubstring(fmt.Sprintf("all of [%d]", port))))))
}

func TestSpecNamesWhatRunsInstead(t *testing.T) {
	g := NewWithT(t)
	address, _ := freePort(t)
	m := started(t, spec(address))
	_, err := m.Spec(t.Context(), "sidecar")
	g.Expect(err).To(MatchError("program sidecar is not running here; running: [main]"))
}

func TestFollowHearsBothOutputsAcrossARestart(t *testing.T) {
	g := NewWithT(t)
	address, _ := freePort(t)
	m := program.NewManager()
	ops := map[string]agent.Handler{}
	m.Register(ops)

	var mu sync.Mutex
	var heard []string
	lines := func() []string { mu.Lock(); defer mu.Unlock(); return append([]string(nil), heard...) }
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	params := []byte(`{"Name": "main", "Match": ["^out: .* text", "^err: "]}`)
	go func() {
		_, err := ops[program.Follow.Name](ctx, params, func(event any) {
			mu.Lock()
			defer mu.Unlock()
			heard = append(heard, event.(string))
		})
		ended <- err
	}()
	// What was said before somebody listens is not heard: start again until it is.
	log := filepath.Join(t.TempDir(), "log")
	one := spec(address, "TEXT=one")
	one.Logs = log
	g.Eventually(func() []string {
		g.Expect(m.Stop("main")).To(Succeed())
		g.Expect(m.Start(one)).To(Succeed())
		g.Eventually(func() (string, error) { b, err := os.ReadFile(log); return string(b), err }, time.Minute).Should(ContainSubstring("err: listening"))
		return lines()
	}, time.Minute).Should(ContainElements("out: listening, text one", "err: listening"))

	g.Expect(m.Stop("main")).To(Succeed())
	g.Expect(m.Start(spec(address, "TEXT=two"))).To(Succeed())
	g.Eventually(lines, time.Minute).Should(ContainElement("out: listening, text two"))
	g.Expect(m.Stop("main")).To(Succeed())
	cancel()
	g.Eventually(ended, time.Minute).Should(Receive(BeNil()))
}
