package run_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/agent/fingerprint"
	"github.com/relapse-k8s/relapse/clusters/agent/runstate"
)

// endLimit is how long a run may still be there after its harness was killed, or was told to end. It tells a run that ends from one that
// hangs, also on a busy machine: on a quiet one it takes up to 6 seconds, because the kernel has to free up to a million conntrack entries
// of four labs meanwhile.
const endLimit = 90 * time.Second

// killed is a way to run relapse, for as long as it takes at the most before it is killed.
type killed struct {
	name string
	args []string
	upTo time.Duration
}

var kills = []killed{
	{"dns-5s", []string{"run", "dns-5s"}, 13 * time.Second},
	{"conntrack-exhaustion", []string{"run", "conntrack-exhaustion", "--variant", "node-table"}, 25 * time.Second},
}

// hostKills change the machine, and need it for themselves.
var hostKills = []killed{
	{"host-limit", []string{"run", "conntrack-exhaustion", "--variant", "host-limit", "--allow-host-changes"}, 25 * time.Second},
}

// TestKill ends runs that live side by side. RELAPSE_KILLS says how often each way and signal is tried, and then with every scenario;
// RELAPSE_SEED which moments are chosen.
func TestKill(t *testing.T) {
	ways := kills
	if os.Getenv("RELAPSE_KILLS") != "" {
		files, err := filepath.Glob("../../scenarios/*.yaml")
		NewWithT(t).Expect(files, err).NotTo(BeEmpty())
		for _, file := range files {
			id := strings.TrimSuffix(filepath.Base(file), ".yaml")
			known := slices.ContainsFunc(ways, func(way killed) bool { return way.name == id })
			if text, err := os.ReadFile(file); !known && err == nil && !strings.Contains(string(text), "\nneeds: [kubernetes]") {
				ways = append(ways, killed{id, []string{"run", id}, 13 * time.Second})
			}
		}
	}
	kill(t, ways, (*testing.T).Parallel)
}

// TestKillHostChanges ends runs one by one.
func TestKillHostChanges(t *testing.T) { kill(t, hostKills, func(*testing.T) {}) }

// kill ends the harness at random moments, by signals, or together with its guard: then relapse clean puts things in order.
func kill(t *testing.T, ways []killed, start func(*testing.T)) {
	relapse := filepath.Join(programs(t), "relapse")
	number := func(name string, otherwise uint64) uint64 {
		if n, err := strconv.ParseUint(os.Getenv(name), 10, 64); err == nil {
			return n
		}
		return otherwise
	}
	seed := number("RELAPSE_SEED", uint64(time.Now().UnixNano()))
	t.Logf("RELAPSE_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for _, way := range ways {
		for _, end := range endings {
			if end.agent && os.Getenv("RELAPSE_KILLS") == "" {
				continue // the rest of the run takes its time
			}
			for range number("RELAPSE_KILLS", 1) {
				after := end.least + time.Duration(random.Int64N(int64(way.upTo)))
				which := random.Int()
				t.Run(way.name+"/"+end.name, func(t *testing.T) {
					start(t)
					killOnce(t, relapse, way, end, after, which)
				})
			}
		}
	}
}

// programs is the folder of relapse's programs, for tests that run labs.
func programs(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("it takes a minute, and needs the machine for itself")
	}
	if os.Geteuid() != 0 {
		t.Skip("the lab needs root")
	}
	bin := os.Getenv("RELAPSE_BIN")
	if bin == "" {
		bin, _ = filepath.Abs("../../bin")
	}
	if _, err := os.Stat(filepath.Join(bin, "relapse")); err != nil {
		t.Skip("make build makes the program: ", err)
	}
	return bin
}

// ending is how a run is ended.
type ending struct {
	name   string
	signal syscall.Signal
	// least is how long the run is left alone.
	least time.Duration
	// guard is whether its guard is killed too, agent whether only one of its agents is killed.
	guard, agent bool
}

var endings = []ending{
	{name: "killed", signal: syscall.SIGKILL},
	{name: "interrupt", signal: syscall.SIGINT},
	{name: "terminated", signal: syscall.SIGTERM},
	{name: "killed with its guard", signal: syscall.SIGKILL, least: 3 * time.Second, guard: true},
	{name: "its agent killed", least: 3 * time.Second, agent: true},
}

// killOnce ends a run, and which of its agents if only one of them is to be killed.
func killOnce(t *testing.T, relapse string, way killed, end ending, after time.Duration, which int) {
	t.Helper()
	g := NewWithT(t)
	ctx := context.Background()
	state := t.TempDir()
	env := "RELAPSE_STATE_DIR=" + state
	before, err := fingerprint.Take(ctx, fingerprint.Options{Host: true, StateDir: state})
	g.Expect(err).NotTo(HaveOccurred())

	var output bytes.Buffer
	cmd := exec.Command(relapse, append(way.args, "--out", t.TempDir())...)
	cmd.Env = append(os.Environ(), env)
	cmd.Stdout, cmd.Stderr = &output, &output
	g.Expect(cmd.Start()).To(Succeed())
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	select {
	case <-time.After(after):
	case <-ended: // it was done before its time
	}
	if end.guard {
		for _, p := range processes(env) {
			if strings.Contains(p.command, "relapse-agent host") {
				_ = syscall.Kill(p.pid, syscall.SIGKILL)
			}
		}
	}
	what := fmt.Sprintf("%s %s after %s", way.name, end.name, after)
	if end.agent {
		agents := slices.DeleteFunc(processes(env), func(p process) bool { return !strings.Contains(p.command, "relapse-agent sandbox") })
		if len(agents) > 0 {
			_ = syscall.Kill(agents[which%len(agents)].pid, syscall.SIGKILL)
		}
		<-ended // the other lanes go on
	} else {
		_ = cmd.Process.Signal(end.signal) // it may have ended
	}
	if end.guard {
		<-ended
		cleaning := exec.Command(relapse, "clean")
		cleaning.Env = append(slices.Clip(cmd.Env), "DOCKER_HOST=unix:///nowhere.sock") // an engine that is here is none of the test's business
		text, err := cleaning.CombinedOutput()
		g.Expect(err).NotTo(HaveOccurred(), "%s: %s", what, text)
	}
	g.Eventually(func() []process { return processes(env) }, endLimit, 20*time.Millisecond).Should(BeEmpty(), what)
	<-ended
	now, err := fingerprint.Take(ctx, fingerprint.Options{Host: true, StateDir: state})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(fingerprint.Diff(before, now)).To(BeEmpty(), "%s\n%s", what, output.String())
	// A run that was killed before its guard had joined has changed nothing; the next run removes its folder.
	g.Expect(runstate.Sweep(state)).To(Succeed())
	left, err := filepath.Glob(filepath.Join(state, "[0-9]*"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(left).To(BeEmpty(), what)
}

type process struct {
	pid     int
	command string
}

// processes lists the processes that have env in their environment, which all of a run have.
func processes(env string) []process {
	var found []process
	folders, _ := filepath.Glob("/proc/[0-9]*")
	for _, folder := range folders {
		environ, err := os.ReadFile(filepath.Join(folder, "environ"))
		if err != nil || !bytes.Contains(append([]byte{0}, environ...), []byte("\x00"+env+"\x00")) {
			continue
		}
		command, _ := os.ReadFile(filepath.Join(folder, "cmdline"))
		if len(command) > 120 {
			command = command[:120]
		}
		pid, _ := strconv.Atoi(filepath.Base(folder))
		found = append(found, process{pid, strings.TrimSpace(string(bytes.ReplaceAll(command, []byte{0}, []byte(" "))))})
	}
	return found
}
