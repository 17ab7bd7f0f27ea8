package provision

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/agent/guard"
	"github.com/relapse-k8s/relapse/clusters/agent/runstate"
)

// realEngine skips a test that makes clusters, where that is not wanted or not possible. Each takes minutes.
func realEngine(t *testing.T) {
	t.Helper()
	if os.Getenv("RELAPSE_TEST_KIND") == "" {
		t.Skip("RELAPSE_TEST_KIND=1 lets it make clusters of containers")
	}
	if out, err := exec.Command("docker", "image", "inspect", chooseOrFail(t)).CombinedOutput(); err != nil {
		t.Skipf("needs an engine with a node image (make node-image): %s", out)
	}
	t.Setenv(runstate.EnvDir, t.TempDir())
	t.Cleanup(func() { NewWithT(t).Expect(left(t)).To(BeEmpty(), "left behind") })
}

func chooseOrFail(t *testing.T) string { return NodeImage(t.Context(), Spec{}) }

// left lists what there is of relapse's in the engine, in this network namespace, and in the state folder.
func left(t *testing.T) string {
	t.Helper()
	var all []string
	for _, command := range []string{
		"docker ps -a --format {{.Names}}", "docker network ls --format {{.Name}}", "docker volume ls --format {{.Name}}", "nft list tables",
		"ip -o -brief link", "ls " + os.Getenv(runstate.EnvDir),
	} {
		words := strings.Fields(command)
		out, err := exec.Command(words[0], words[1:]...).Output()
		if err != nil {
			t.Fatal(command, err)
		}
		for line := range strings.Lines(string(out)) {
			if volumes := words[1] == "volume"; volumes || strings.Contains(line, "relapse") || strings.HasPrefix(line, "20") {
				all = append(all, strings.TrimSpace(line))
			}
		}
	}
	return strings.Join(all, "\n")
}

func startGuard(t *testing.T) (*guard.Guard, func() error) {
	t.Helper()
	g := NewWithT(t)
	state, err := runstate.New("test", nil)
	g.Expect(err).NotTo(HaveOccurred())
	guarding, err := guard.Start(t.Context(), os.Args[0], filepath.Join(state.Folder(), "guard.log"), state)
	g.Expect(err).NotTo(HaveOccurred())
	end := sync.OnceValue(func() error { return errors.Join(guarding.Close(), state.Close()) })
	t.Cleanup(func() { _ = end() })
	return guarding, end
}

// timed logs what a cluster's maker says, with the time.
func timed(t *testing.T, name string) func(string) {
	start := time.Now()
	return func(doing string) { t.Logf("%-12s %6.1f s  %s", name, time.Since(start).Seconds(), doing) }
}

func TestTwoClustersAtOnce(t *testing.T) {
	realEngine(t)
	g := NewWithT(t)
	guarding, end := startGuard(t)
	specs := []Spec{{Name: "relapse-a", Nodes: 1, Proxy: "nftables"}, {Name: "relapse-b", Nodes: 2, Proxy: "iptables"}}
	made := make([]*Cluster, len(specs))
	errs := make([]error, len(specs))
	var wait sync.WaitGroup
	for i, s := range specs {
		wait.Go(func() {
			s.Progress = timed(t, s.Name)
			made[i], errs[i] = Create(t.Context(), s, guarding)
			s.Progress("done")
		})
	}
	wait.Wait()
	g.Expect(errors.Join(errs...)).To(Succeed())
	g.Expect(os.Getenv(networkEnv)).To(BeEmpty())
	g.Expect(made[0].Nodes).To(HaveExactElements(And(HaveField("Name", "node-1"), HaveField("Role", "control-plane"))))
	g.Expect(made[1].Nodes).To(HaveExactElements(
		And(HaveField("Name", "node-1"), HaveField("Container", "relapse-b-worker")),
		And(HaveField("Name", "node-2"), HaveField("Container", "relapse-b-control-plane"))))

	for i, c := range made {
		g.Expect(c.Subnet.Contains(c.Nodes[0].Address)).To(BeTrue())
		opened, err := Open(t.Context(), specs[i].Name)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(opened.Nodes).To(Equal(c.Nodes))
		g.Expect(opened.Spec).To(And(HaveField("Proxy", specs[i].Proxy), HaveField("CNI", "plain"), HaveField("Stay", false)))
		// An address that no rule catches: told at once, and kept back.
		before, err := c.Refused()
		g.Expect(err).NotTo(HaveOccurred())
		out, err := c.run(t.Context(), c.Nodes[0].Container, "", "timeout", "10", "bash", "-c", "echo >/dev/tcp/198.51.100.7/80")
		g.Expect(err).To(HaveOccurred())
		g.Expect(out).To(ContainSubstring("No route to host"))
		g.Expect(c.Refused()).To(BeNumerically(">", before))
	}
	summaries, err := List(t.Context())
	g.Expect(summaries, err).To(HaveExactElements(
		And(HaveField("Name", "relapse-a"), HaveField("Fence", FenceClosed), HaveField("Run", guarding.State().ID)),
		And(HaveField("Name", "relapse-b"), HaveField("Nodes", HaveLen(2)))))
	var said bytes.Buffer
	g.Expect(Sweep(t.Context(), &said, true)).To(BeEmpty(), "their run is alive")

	archive := filepath.Join(t.TempDir(), "image.tar")
	emptyImage(t, archive, "relapse.dev/test:1")
	g.Expect(made[1].Load(t.Context(), archive)).To(Succeed())
	for _, node := range made[1].Nodes {
		out, err := made[1].run(t.Context(), node.Container, "", "crictl", "images")
		g.Expect(out, err).To(ContainSubstring("relapse.dev/test"))
	}
	// A name that is taken: the one who has it keeps it.
	_, err = Create(t.Context(), Spec{Name: "relapse-a", Progress: timed(t, "again")}, guarding)
	g.Expect(err).To(MatchError(ContainSubstring("already exists")))
	g.Expect(made[0].missing(t.Context())).To(BeEmpty())

	logs := t.TempDir()
	g.Expect(made[1].Collect(t.Context(), logs)).To(Succeed())
	text, err := os.ReadFile(filepath.Join(logs, "relapse-b-worker", "cni.txt"))
	g.Expect(string(text), err).To(ContainSubstring(`"type": "ptp"`))

	g.Expect(made[0].Delete(t.Context())).To(Succeed())
	g.Expect(Delete(t.Context(), "relapse-a")).To(Succeed(), "it is deleted already")
	g.Expect(end()).To(Succeed())
}

// emptyImage writes an image with nothing in it as docker save would.
func emptyImage(t *testing.T, path, name string) {
	t.Helper()
	g := NewWithT(t)
	file, err := os.Create(path)
	g.Expect(err).NotTo(HaveOccurred())
	w := tar.NewWriter(file)
	for name, text := range map[string]string{
		"manifest.json": fmt.Sprintf(`[{"Config": "config.json", "RepoTags": [%q], "Layers": []}]`, name),
		"config.json":   `{"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": []}}`,
	} {
		g.Expect(w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))})).To(Succeed())
		_, err := w.Write([]byte(text))
		g.Expect(err).NotTo(HaveOccurred())
	}
	g.Expect(errors.Join(w.Close(), file.Close())).To(Succeed())
}

// importImage makes an image of some files.
func importImage(t *testing.T, name string, files map[string]string) {
	t.Helper()
	g := NewWithT(t)
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for name, text := range files {
		g.Expect(w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(text))})).To(Succeed())
		_, err := w.Write([]byte(text))
		g.Expect(err).NotTo(HaveOccurred())
	}
	g.Expect(w.Close()).To(Succeed())
	cmd := exec.Command("docker", "import", "--change", `CMD ["/start"]`, "-", name)
	cmd.Stdin = &archive
	out, err := cmd.CombinedOutput()
	g.Expect(err).NotTo(HaveOccurred(), string(out))
	t.Cleanup(func() { _ = exec.Command("docker", "image", "rm", "--force", name).Run() })
}

func TestBadImages(t *testing.T) {
	realEngine(t)
	g := NewWithT(t)
	guarding, end := startGuard(t)
	logs := t.TempDir()
	create := func(image, cni string) error {
		_, err := Create(t.Context(), Spec{Name: "relapse-bad", Image: image, CNI: cni, Logs: logs, Progress: timed(t, image)}, guarding)
		return err
	}
	g.Expect(create("relapse.dev/absent:1", "")).To(MatchError(ContainSubstring("the engine does not have the nodes' image relapse.dev/absent:1: docker pull")))
	importImage(t, "relapse.dev/stranger:1", map[string]string{"start": "not a node's"})
	g.Expect(create("relapse.dev/stranger:1", "")).To(MatchError(And(
		ContainSubstring("image relapse.dev/stranger:1 is not an image for kind's nodes"), ContainSubstring("/kind/version"))))
	importImage(t, "relapse.dev/broken:1", map[string]string{"start": "no program", "kind/version": "v1.36.3\n"})
	g.Expect(create("relapse.dev/broken:1", "")).To(MatchError(And(ContainSubstring("making nodes"), ContainSubstring(logs))))
	g.Expect(create("", "kindnet")).To(MatchError(ContainSubstring("it does not contain the CNI kindnet")))
	g.Expect(left(t)).NotTo(ContainSubstring("relapse-bad"))
	g.Expect(end()).To(Succeed())
}

func TestWithoutCNI(t *testing.T) {
	realEngine(t)
	g := NewWithT(t)
	guarding, end := startGuard(t)
	logs := t.TempDir()
	_, err := Create(t.Context(), Spec{
		Name: "relapse-bare", CNI: "none", Limit: 20 * time.Second, Logs: logs, Progress: timed(t, "bare"),
	}, guarding)
	t.Log(err)
	g.Expect(err).To(MatchError(And(ContainSubstring("timed out after 20s"), ContainSubstring("cni plugin not initialized"), ContainSubstring(logs))))
	text, err := os.ReadFile(filepath.Join(logs, "describe-nodes.txt"))
	g.Expect(string(text), err).To(ContainSubstring("KubeletNotReady"))
	g.Expect(left(t)).NotTo(ContainSubstring("relapse-bare"))
	g.Expect(end()).To(Succeed())
}

// rounds is how often something is tried at a random moment.
func rounds() int {
	if n, err := strconv.Atoi(os.Getenv("RELAPSE_KILLS")); err == nil {
		return n
	}
	return 2
}

// aMoment is some time in the making of a cluster of two nodes; every other one is among the first seconds, when containers appear.
func aMoment(round int) time.Duration {
	upTo := 35 * time.Second
	if round%2 == 0 {
		upTo = 4 * time.Second
	}
	return time.Duration(rand.Int64N(int64(upTo)))
}

func TestInterruptedCreation(t *testing.T) {
	realEngine(t)
	g := NewWithT(t)
	guarding, end := startGuard(t)
	for i := range rounds() {
		moment := aMoment(i)
		ctx, cancel := context.WithTimeoutCause(t.Context(), moment, errors.New("ended by signal: interrupt"))
		_, err := Create(ctx, Spec{Name: "relapse-cut", Nodes: 2, Progress: timed(t, "cut")}, guarding)
		cancel()
		t.Logf("after %s: %v", moment, err)
		if err == nil {
			g.Expect(Delete(t.Context(), "relapse-cut")).To(Succeed())
			continue
		}
		g.Expect(err).To(MatchError(ContainSubstring("ended by signal: interrupt")))
		g.Expect(left(t)).NotTo(ContainSubstring("relapse-cut"))
	}
	g.Expect(end()).To(Succeed())
}

func TestKilledInCreation(t *testing.T) {
	realEngine(t)
	for i := range rounds() {
		killOnce(t, aMoment(i), false, false)
	}
}

func TestKilledWithTheGuardInCreation(t *testing.T) {
	realEngine(t)
	for i := range rounds() {
		killOnce(t, aMoment(i), true, false)
	}
}

func TestKilledWithTheGuardAndItsJournal(t *testing.T) {
	realEngine(t)
	for i := range rounds() {
		killOnce(t, 2*time.Second+aMoment(i), true, true)
	}
}

// killOnce kills a harness that is making a cluster, and perhaps its guard too, upon which relapse clean puts things in order, also where
// the journal is lost.
func killOnce(t *testing.T, moment time.Duration, guardToo, journalToo bool) {
	t.Helper()
	g := NewWithT(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "RELAPSE_TEST_CREATE=relapse-kill")
	out, err := cmd.StdoutPipe()
	g.Expect(err).NotTo(HaveOccurred())
	cmd.Stderr = os.Stderr
	g.Expect(cmd.Start()).To(Succeed())
	last := make(chan string, 1)
	go func() {
		text := ""
		for lines := bufio.NewScanner(out); lines.Scan(); {
			text = lines.Text()
		}
		last <- text
	}()
	time.Sleep(moment)
	if guardToo {
		entries, err := os.ReadDir(os.Getenv(runstate.EnvDir))
		g.Expect(err).NotTo(HaveOccurred())
		for _, entry := range entries {
			if processes, err := runstate.Processes(entry.Name()); err == nil {
				for _, p := range processes {
					_ = p.Kill(t.Context())
				}
			}
		}
	}
	g.Expect(cmd.Process.Kill()).To(Succeed())
	killed := time.Now()
	_ = cmd.Wait()
	if journalToo {
		g.Expect(os.RemoveAll(os.Getenv(runstate.EnvDir))).To(Succeed())
		g.Expect(os.Mkdir(os.Getenv(runstate.EnvDir), 0o700)).To(Succeed())
	}
	if guardToo {
		g.Eventually(func() error {
			var said bytes.Buffer
			_, err := runstate.Clean(t.Context(), &said, runstate.CleanOptions{})
			if err == nil {
				_, err = Sweep(t.Context(), &said, false)
			}
			t.Log(said.String())
			return err
		}, time.Minute, time.Second).Should(Succeed())
	}
	g.Eventually(func() string { return left(t) }, time.Minute, 100*time.Millisecond).Should(BeEmpty())
	t.Logf("killed after %s, at %q: all was gone after %s", moment, <-last, time.Since(killed))
	// The engine may have been making something still.
	g.Consistently(func() string { return left(t) }, 3*time.Second, 500*time.Millisecond).Should(BeEmpty())
}
