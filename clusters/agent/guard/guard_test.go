package guard_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"go.uber.org/goleak"

	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/agent/guard"
	"github.com/relapse-k8s/relapse/clusters/agent/runstate"
	"github.com/relapse-k8s/relapse/clusters/agent/undo"
)

// noOperations is for a guard that only undoes what it was asked to remember.
func noOperations(*undo.Stack) map[string]agent.Handler { return map[string]agent.Handler{} }

// TestMain makes the test binary play the guard, when it is started as one: relapse-agent host RUN.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "host" {
		if err := guard.Main(context.Background(), os.Args[2], noOperations); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func TestGuardUndoesWhatItWasAskedToRemember(t *testing.T) {
	g := NewWithT(t)
	t.Setenv(runstate.EnvDir, t.TempDir())
	state, err := runstate.New("test", nil)
	g.Expect(err).NotTo(HaveOccurred())
	start := func() *guard.Guard {
		guarding, err := guard.Start(t.Context(), os.Args[0], filepath.Join(t.TempDir(), "log"), state)
		g.Expect(err).NotTo(HaveOccurred())
		return guarding
	}
	guarding := start()
	g.Expect(guarding.State()).To(Equal(state))
	files := t.TempDir()
	write := func(what, name string) {
		record, err := undo.FileRecord(filepath.Join(files, name))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(guarding.Remember(t.Context(), what, record)).To(Succeed())
		pending, err := undo.Pending(state.Journal())
		g.Expect(pending, err).To(ContainElement(HaveField("Undo.File.Path", filepath.Join(files, name))), "in the journal before it is done")
		g.Expect(os.WriteFile(filepath.Join(files, name), nil, 0o644)).To(Succeed())
	}
	left := func() string {
		entries, err := os.ReadDir(files)
		g.Expect(err).NotTo(HaveOccurred())
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return strings.Join(names, " ")
	}
	write("one", "a")
	write("two", "b")
	write("one", "c")
	g.Expect(left()).To(Equal("a b c"))
	g.Expect(guarding.Undo(t.Context(), "one")).To(Succeed())
	g.Expect(left()).To(Equal("b"))
	g.Expect(guarding.Undo(t.Context(), "one")).To(Succeed(), "nothing is left of it")
	write("one", "d")
	write("three", "stays")
	g.Expect(guarding.Forget(t.Context(), "three")).To(Succeed())
	g.Expect(guarding.Remember(t.Context(), "wrong", undo.Record{NftTable: &undo.NftTable{Family: "ip", Name: "filter"}})).
		To(MatchError(ContainSubstring("nothing foreign may be deleted")))
	g.Expect(guarding.Close()).To(Succeed())
	g.Expect(left()).To(Equal("stays"))
	g.Expect(state.Folder()).NotTo(BeADirectory())
	g.Expect(state.Close()).To(Succeed())
}

func TestGuardThatCannotJoin(t *testing.T) {
	g := NewWithT(t)
	t.Setenv(runstate.EnvDir, t.TempDir())
	state, err := runstate.New("test", nil)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(state.Remove()).To(Succeed())
	_, err = guard.Start(t.Context(), os.Args[0], filepath.Join(t.TempDir(), "log"), state)
	g.Expect(err).To(MatchError(ContainSubstring("the run is over")))
}
