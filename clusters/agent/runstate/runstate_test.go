package runstate_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/agent/fingerprint"
	"github.com/relapse-k8s/relapse/clusters/agent/procs"
	. "github.com/relapse-k8s/relapse/clusters/agent/runstate"
	"github.com/relapse-k8s/relapse/clusters/agent/undo"
	"github.com/relapse-k8s/relapse/clusters/agent/undo/nstest"
)

// stateDir gives the test a state folder of its own.
func stateDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv(EnvDir, dir)
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// machine is all that changeForEver changes.
type machine struct {
	network fingerprint.Fingerprint
	files   string
}

func look(t *testing.T, files string) machine {
	t.Helper()
	network, err := fingerprint.Take(t.Context(), fingerprint.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return machine{network, nstest.Must(t, "grep -r . "+files) + nstest.Must(t, "stat -c %n-%a-%s "+files+"/old") + nstest.Must(t, "ls "+files)}
}

// diff says how the machine differs from what it was.
func (m machine) diff(now machine) []string {
	diff := fingerprint.Diff(m.network, now.network)
	if m.files != now.files {
		diff = append(diff, fmt.Sprintf("files: %q -> %q", m.files, now.files))
	}
	return diff
}

// TestKillAtAnyMoment ends a process with SIGKILL in the middle of its changes and cleans up after it, over and over.
func TestKillAtAnyMoment(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	g := NewWithT(t)
	dir, files := stateDir(t), t.TempDir()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("RELAPSE_TEST_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		g.Expect(err).NotTo(HaveOccurred())
	}
	t.Logf("RELAPSE_TEST_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	nstest.Must(t, "ip link add eth0 type veth peer name eth1")
	nstest.Must(t, "sysctl -w net.ipv4.conf.eth1.forwarding=1")
	g.Expect(os.WriteFile(files+"/old", []byte("before\n"), 0o640)).To(Succeed())
	before := look(t, files)
	undone := 0
	for round := range 20 {
		harness := play(t, "harness", "FILES="+files, fmt.Sprintf("SEED=%d", seed+uint64(round)))
		id := harness.line(t)
		for range 1 + random.IntN(12) {
			harness.line(t)
		}
		// Somewhere within the next changes, wherever the two processes are by then.
		for range random.IntN(2_000_000) {
			_ = round
		}
		killRun(t, harness, id)

		var said bytes.Buffer
		report, err := Clean(t.Context(), &said, CleanOptions{})
		g.Expect(err).NotTo(HaveOccurred(), said.String())
		g.Expect(report.Dead).To(HaveLen(1))
		g.Expect(report.Dead[0].ID).To(Equal(id))
		g.Expect(report.Dead[0].Owner.Scenario).To(Equal("many-changes"))
		undone += len(report.Dead[0].Undone)
		g.Expect(before.diff(look(t, files))).To(BeEmpty(), "round %d:\n%s", round, said.String())
		g.Expect(filepath.Join(dir, id)).NotTo(BeADirectory())
	}
	t.Logf("%d changes were undone", undone)
	g.Expect(undone).To(BeNumerically(">", 20), "the kills must have met changes")
}

func TestTwoCleansAtOnce(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	g := NewWithT(t)
	stateDir(t)
	files := t.TempDir()
	g.Expect(os.WriteFile(files+"/old", []byte("before\n"), 0o640)).To(Succeed())
	before := look(t, files)
	harness := play(t, "harness", "FILES="+files, "SEED=1")
	id := harness.line(t)
	for range 6 {
		harness.line(t)
	}
	killRun(t, harness, id)
	dry, err := Clean(t.Context(), io.Discard, CleanOptions{DryRun: true})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(dry.Dead[0].Undone).NotTo(BeEmpty())
	g.Expect(before.diff(look(t, files))).NotTo(BeEmpty(), "a dry run changes nothing")

	var wait sync.WaitGroup
	reports := make([]Report, 4)
	for i := range reports {
		wait.Go(func() {
			var err error
			reports[i], err = Clean(t.Context(), io.Discard, CleanOptions{})
			g.Expect(err).NotTo(HaveOccurred())
		})
	}
	wait.Wait()
	var dead []DeadRun
	for _, r := range reports {
		dead = append(dead, r.Dead...)
	}
	g.Expect(dead).To(HaveLen(1), "one of them did it")
	g.Expect(dead[0].ID).To(Equal(id))
	g.Expect(dead[0].Undone).To(Equal(dry.Dead[0].Undone), "as the dry run said")
	g.Expect(before.diff(look(t, files))).To(BeEmpty())
}

func TestCleanLeavesLiveRunsAlone(t *testing.T) {
	g := NewWithT(t)
	dir := stateDir(t)
	live, err := New("live", []string{"relapse", "run"})
	g.Expect(err).NotTo(HaveOccurred())
	sleeper := play(t, "sleeper", live.Env()...)
	id, err := procs.Of(sleeper.cmd.Process.Pid)
	g.Expect(err).NotTo(HaveOccurred())
	dead, err := New("dead", []string{"relapse", "run"})
	g.Expect(err).NotTo(HaveOccurred())
	left := play(t, "stubborn", dead.Env()...)
	left.line(t)
	other := play(t, "sleeper", EnvRun+"=20260101-000000-abcd", EnvDir+"="+dir, EnvHarness+fmt.Sprintf("=%d/%d", id.PID, id.Start))
	orphan := play(t, "sleeper", EnvRun+"=20260101-000000-abce", EnvDir+"="+dir, EnvHarness+fmt.Sprintf("=%d/%d", id.PID, id.Start+1))
	g.Expect(dead.Close()).To(Succeed())

	var said bytes.Buffer
	report, err := Clean(t.Context(), &said, CleanOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(report.Alive).To(Equal([]string{live.ID}))
	g.Expect(said.String()).To(And(
		ContainSubstring("run "+live.ID+` is alive and left alone: scenario "live"`),
		ContainSubstring("run "+dead.ID+` has died: scenario "dead"`),
		ContainSubstring("ended process %d", left.cmd.Process.Pid)))
	g.Expect(id.Alive()).To(BeTrue())
	g.Expect(left.cmd.Wait()).To(MatchError(ContainSubstring("killed")))
	g.Expect(orphan.cmd.Wait()).To(MatchError(ContainSubstring("killed")), "a process without folder and harness")
	g.Expect(report.Orphans).To(HaveLen(1))
	g.Expect(live.Folder()).To(BeADirectory())
	g.Expect(dead.Folder()).NotTo(BeADirectory())
	_, err = procs.Of(other.cmd.Process.Pid)
	g.Expect(err).NotTo(HaveOccurred(), "its harness lives, wherever its folder is")

	// A guard keeps a run alive when its harness has gone, and cannot join one that is over.
	guard, err := Join(live.ID)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(live.Close()).To(Succeed())
	report, err = Clean(t.Context(), io.Discard, CleanOptions{})
	g.Expect(report.Alive, err).To(Equal([]string{live.ID}))
	g.Expect(guard.Remove()).To(Succeed())
	_, err = Join(live.ID)
	g.Expect(err).To(MatchError(ContainSubstring("the run is over")))
	entries, err := filepath.Glob(dir + "/*")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(entries).To(ConsistOf(dir + "/clean.lock"))
}

// TestSweep: a run that died before its guard had joined goes at the next one; all others are for Clean.
func TestSweep(t *testing.T) {
	g := NewWithT(t)
	dir := stateDir(t)
	begin := func(died, joined bool, journal string) string {
		run, err := New("begun", []string{"relapse", "run"})
		g.Expect(err).NotTo(HaveOccurred())
		owner := run.Owner
		if joined {
			owner.Guard = &owner.Harness
		}
		if died {
			owner.Harness.Start++ // nobody's
			g.Expect(run.Close()).To(Succeed())
		}
		g.Expect(WriteOwner(run.Folder(), owner)).To(Succeed())
		g.Expect(os.WriteFile(run.Journal(), []byte(journal), 0o600)).To(Succeed())
		return run.ID
	}
	gone := begin(true, false, "")
	kept := []string{begin(false, false, ""), begin(true, true, ""), begin(true, false, "{}\n")}
	g.Expect(Sweep(dir)).To(Succeed())
	g.Expect(filepath.Join(dir, gone)).NotTo(BeADirectory())
	for _, id := range kept {
		g.Expect(filepath.Join(dir, id)).To(BeADirectory())
	}
}

func TestCleanRemovesWhatIsHalfMade(t *testing.T) {
	g := NewWithT(t)
	dir := stateDir(t)
	g.Expect(os.MkdirAll(dir+"/.new-20260101-000000-abcd", 0o700)).To(Succeed())
	g.Expect(os.MkdirAll(dir+"/.gone-20260101-000000-abcd", 0o700)).To(Succeed())
	g.Expect(os.WriteFile(dir+"/.gone-20260101-000000-abcd/lock", nil, 0o600)).To(Succeed())
	_, err := Clean(t.Context(), io.Discard, CleanOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	entries, err := os.ReadDir(dir)
	g.Expect(entries, err).To(HaveLen(1))
}

func TestCleanKeepsWhatItCannotUndo(t *testing.T) {
	g := NewWithT(t)
	stateDir(t)
	run := deadRun(t, undo.Record{Netns: 1, NftTable: &undo.NftTable{Family: "ip", Name: "relapse-none"}})
	for range 2 {
		report, err := Clean(t.Context(), io.Discard, CleanOptions{})
		g.Expect(err).To(MatchError(undo.ErrElsewhere))
		g.Expect(report.Dead[0].Left).To(HaveLen(1))
		g.Expect(report.Dead[0].Removed).To(BeFalse())
		g.Expect(run.Folder()).To(BeADirectory())
	}
	_, err := LockHost(t.Context(), "20260101-000000-abcd")
	g.Expect(err).To(MatchError(ContainSubstring("run " + run.ID + " has died and 1 of its changes")))
}

// deadRun leaves a run with this in its journal.
func deadRun(t *testing.T, record undo.Record) *Run {
	t.Helper()
	g := NewWithT(t)
	run, err := New("dead", nil)
	g.Expect(err).NotTo(HaveOccurred())
	text := fmt.Sprintf(`{"id":1,"change":"x","undo":{"netns":%d,"nft-table":{"family":%q,"name":%q}}}`+"\n",
		record.Netns, record.NftTable.Family, record.NftTable.Name)
	g.Expect(os.WriteFile(run.Journal(), []byte(text), 0o600)).To(Succeed())
	g.Expect(run.Close()).To(Succeed())
	return run
}

func TestAnotherBoot(t *testing.T) {
	g := NewWithT(t)
	stateDir(t)
	run := deadRun(t, undo.Record{Netns: 1, NftTable: &undo.NftTable{Family: "ip", Name: "relapse-none"}})
	run.Owner.Boot = "another"
	g.Expect(WriteOwner(run.Folder(), run.Owner)).To(Succeed())
	report, err := Clean(t.Context(), io.Discard, CleanOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(report.Dead[0].Void).To(HaveLen(1))
	g.Expect(report.Dead[0].Removed).To(BeTrue())
}

func TestLockHost(t *testing.T) {
	g := NewWithT(t)
	stateDir(t)
	lock, err := LockHost(t.Context(), "20260101-000000-aaaa")
	g.Expect(err).NotTo(HaveOccurred())
	_, err = LockHost(t.Context(), "20260101-000000-bbbb")
	g.Expect(err).To(MatchError(ErrHostHeld))
	g.Expect(err).To(MatchError(ContainSubstring("run 20260101-000000-aaaa (pid %d)", os.Getpid())))

	// Who only wants the machine as it is waits until it is that again.
	cancelled, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("out of patience"))
	g.Expect(WaitHost(cancelled)).To(MatchError(And(ContainSubstring("out of patience"), ContainSubstring("run 20260101-000000-aaaa"))))
	waiting := make(chan error, 1)
	go func() { waiting <- WaitHost(t.Context()) }()
	g.Expect(waiting).NotTo(Receive())

	// A clean cannot undo settings of the machine under a run that is changing them.
	run := deadRun(t, undo.Record{Netns: 1, NftTable: &undo.NftTable{Family: "ip", Name: "relapse-none"}})
	_, err = Clean(t.Context(), io.Discard, CleanOptions{})
	g.Expect(err).To(MatchError(ErrHostHeld))
	g.Expect(run.Folder()).To(BeADirectory())
	g.Expect(lock.Unlock()).To(Succeed())
	g.Expect(<-waiting).To(Succeed())
	g.Expect(os.RemoveAll(run.Folder())).To(Succeed())
	lock, err = LockHost(t.Context(), "20260101-000000-bbbb")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(lock.Unlock()).To(Succeed())
}

// TestGuard: the harness is gone without a word, and with it the other end of the guard's stream.
func TestGuard(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	g := NewWithT(t)
	stateDir(t)
	before, err := undo.ReadSysctl("net.ipv4.tcp_syn_retries")
	g.Expect(err).NotTo(HaveOccurred())
	run, err := New("guarded", []string{"relapse", "run"})
	g.Expect(err).NotTo(HaveOccurred())
	guard := play(t, "guard", run.Env()...)
	g.Expect(guard.line(t)).To(Equal("ready"))
	stubborn := play(t, "stubborn", run.Env()...)
	g.Expect(stubborn.line(t)).To(Equal("ready"))
	polite := play(t, "sleeper", run.Env()...)
	foreign := play(t, "sleeper")
	g.Expect(undo.ReadSysctl("net.ipv4.tcp_syn_retries")).To(Equal("2"))
	owner, err := ReadOwner(run.Folder())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(owner.Guard.PID).To(Equal(guard.cmd.Process.Pid))

	g.Expect(run.Close()).To(Succeed())
	g.Expect(polite.in.Close()).To(Succeed())
	g.Expect(guard.in.Close()).To(Succeed())
	g.Expect(guard.cmd.Wait()).To(Succeed())
	g.Expect(undo.ReadSysctl("net.ipv4.tcp_syn_retries")).To(Equal(before))
	g.Expect(polite.cmd.Wait()).To(Succeed(), "who goes by itself is not killed")
	g.Expect(stubborn.cmd.Wait()).To(MatchError(ContainSubstring("killed")))
	g.Expect(run.Folder()).NotTo(BeADirectory())
	_, err = procs.Of(foreign.cmd.Process.Pid)
	g.Expect(err).NotTo(HaveOccurred())
}

func TestFinishKeepsWhatItCannotUndo(t *testing.T) {
	g := NewWithT(t)
	stateDir(t)
	run, err := New("x", nil)
	g.Expect(err).NotTo(HaveOccurred())
	var stack undo.Stack
	g.Expect(stack.Begin("x").PushFunc("y", func(context.Context) error { return os.ErrInvalid })).To(Succeed())
	g.Expect(Finish(t.Context(), &stack, run)).To(MatchError(os.ErrInvalid))
	g.Expect(run.Folder()).To(BeADirectory())
}

func TestRuns(t *testing.T) {
	g := NewWithT(t)
	dir := stateDir(t)
	seen := map[string]bool{}
	for range 50 {
		run, err := New("x", nil)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(ValidID(run.ID)).To(BeTrue(), run.ID)
		g.Expect(seen[run.ID]).To(BeFalse())
		seen[run.ID] = true
		defer func() { g.Expect(run.Remove()).To(Succeed()) }()
	}
	g.Expect(ObjectPrefix("20261121-035502-3f9a")).To(Equal("relapse3f9a"))
	_, err := Join("../../etc")
	g.Expect(err).To(MatchError(ContainSubstring("not the id of a run")))
	g.Expect(os.Chmod(dir, 0o777)).To(Succeed())
	_, err = New("x", nil)
	g.Expect(err).To(MatchError(ContainSubstring("only user")))
	g.Expect(os.Chmod(dir, 0o700)).To(Succeed())
}
