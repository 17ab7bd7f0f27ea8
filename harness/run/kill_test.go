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

	"github.com/relapse-k8s/relapse/harness/fingerprint"
	"github.com/relapse-k8s/relapse/harness/runstate"
)

// aftermath is how long a run may still be there after its harness was killed; farewell is how long it may take to end in order. They
// tell a run that ends from one that hangs, also on a busy machine: on a quiet one it takes up to 3 and 6 seconds, because the kernel has
// to free up to a million conntrack entries of four labs meanwhile.
const (
	aftermath = 15 * time.Second
	farewell  = 45 * time.Second
)

// killed is a way to run relapse, for as long as it takes at the most before it is killed.
type killed struct {
	name string
	args []string
	upTo time.Duration
}

var kills = []killed{
	{"dns-5s", []string{"run", "dns-5s"}, 13 * time.Second},
	{"conntrack-exhaustion", []string{"run", "conntrack-exhaustion", "--variant", "node-table"}, 25 * time.Second},
	{"host-limit", []string{"run", "conntrack-exhaustion", "--variant", "host-limit", "--allow-host-changes"}, 25 * time.Second},
}

// TestKill ends the harness at random moments. RELAPSE_KILLS says how often each way and signal is tried, RELAPSE_SEED which
// moments are chosen.
func TestKill(t *testing.T) {
	relapse, rounds, random := killSetup(t)
	for _, way := range kills {
		for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGINT, syscall.SIGTERM} {
			t.Run(way.name+"/"+signal.String(), func(t *testing.T) {
				for range rounds {
					killOnce(t, relapse, way, signal, time.Duration(random.Int64N(int64(way.upTo))), false)
				}
			})
		}
	}
}

// TestKillWithTheGuard ends the harness and the guard, and lets relapse clean put things in order.
func TestKillWithTheGuard(t *testing.T) {
	relapse, rounds, random := killSetup(t)
	for _, way := range kills[1:] {
		t.Run(way.name, func(t *testing.T) {
			for range rounds {
				killOnce(t, relapse, way, syscall.SIGKILL, 3*time.Second+time.Duration(random.Int64N(int64(way.upTo))), true)
			}
		})
	}
}

func killSetup(t *testing.T) (relapse string, rounds int, random *rand.Rand) {
	t.Helper()
	bin := os.Getenv("RELAPSE_BIN")
	if bin == "" {
		bin, _ = filepath.Abs("../../bin")
	}
	relapse = filepath.Join(bin, "relapse")
	if _, err := os.Stat(relapse); err != nil {
		t.Skip("make build makes the program: ", err)
	}
	if os.Geteuid() != 0 {
		t.Skip("the lab needs root")
	}
	number := func(name string, otherwise uint64) uint64 {
		if n, err := strconv.ParseUint(os.Getenv(name), 10, 64); err == nil {
			return n
		}
		return otherwise
	}
	seed := number("RELAPSE_SEED", uint64(time.Now().UnixNano()))
	t.Logf("RELAPSE_SEED=%d", seed)
	return relapse, int(number("RELAPSE_KILLS", 1)), rand.New(rand.NewPCG(seed, 0))
}

func killOnce(t *testing.T, relapse string, way killed, signal syscall.Signal, after time.Duration, guardToo bool) {
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
	if guardToo {
		for _, p := range processes(env) {
			if strings.Contains(p.command, "relapse-agent host") {
				_ = syscall.Kill(p.pid, syscall.SIGKILL)
			}
		}
	}
	_ = cmd.Process.Signal(signal) // it may have ended
	what := fmt.Sprintf("%s after %s by %s", way.name, after, signal)
	if guardToo {
		<-ended
		cleaning := exec.Command(relapse, "clean")
		cleaning.Env = append(slices.Clip(cmd.Env), "DOCKER_HOST=unix:///nowhere.sock") // an engine that is here is none of the test's business
		text, err := cleaning.CombinedOutput()
		g.Expect(err).NotTo(HaveOccurred(), "%s: %s", what, text)
	}
	limit := farewell
	if signal == syscall.SIGKILL {
		limit = aftermath
	}
	g.Eventually(func() []process { return processes(env) }, limit, 20*time.Millisecond).Should(BeEmpty(), what)
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
