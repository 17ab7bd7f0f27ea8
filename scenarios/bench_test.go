package scenarios_test

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/relapse-k8s/relapse/clusters/lab"
	"github.com/relapse-k8s/relapse/cmd/relapse/suite"
	"github.com/relapse-k8s/relapse/harness/run"
)

// bench makes the runs of all selected tests side by side, as a suite does: labs mostly wait. They begin when every test has asked for
// its own.
type bench struct {
	lab *lab.Lab
	// all is the context of the test that has the others as subtests, out the folder of the run folders.
	all   context.Context
	out   string
	begin sync.Once
	runs  []*made
}

// made is a run, which is over when ended is closed.
type made struct {
	o     run.Options
	ended chan struct{}
	dir   string
	err   error
}

func newBench(t *testing.T) *bench {
	out := os.Getenv("RELAPSE_RUNS") // set if the run folders are to be kept, as in CI
	if out == "" {
		out = t.TempDir()
	}
	return &bench{lab: &lab.Lab{Bin: programs(t)}, all: t.Context(), out: out}
}

// want asks for a run, in a folder of its kind.
func (b *bench) want(kind string, o run.Options) *made {
	o.Provider, o.Agent, o.Seed, o.Timeout = b.lab, filepath.Join(b.lab.Bin, "relapse-agent"), 1, 5*time.Minute
	o.Out, o.Proxy = filepath.Join(b.out, kind), cmp.Or(o.Proxy, "nftables")
	m := &made{o: o, ended: make(chan struct{})}
	b.runs = append(b.runs, m)
	return m
}

// wait returns when the runs have ended. Parallel lets a test go on when all of them have asked for their runs.
func (b *bench) wait(e *entry, runs ...*made) {
	e.Parallel()
	b.begin.Do(func() {
		var options []run.Options
		for _, m := range b.runs {
			options = append(options, m.o)
		}
		go suite.InTurns(b.all, suite.Lanes(), options, func(i int, o run.Options) {
			m := b.runs[i]
			defer close(m.ended)
			m.dir, m.err = run.Run(b.all, o)
		})
	})
	for _, m := range runs {
		<-m.ended
		if m.err != nil {
			e.Errorf("%s: %v", m.dir, m.err)
			e.FailNow()
		}
	}
}

// ledger is what became of the tests, which is printed as they end and, but for those that passed, again at the end.
type ledger struct {
	mu    sync.Mutex
	begun time.Time
	count map[string]int
	lines []string
}

var book = ledger{begun: time.Now(), count: map[string]int{}}

// entry is a test with what is printed beside its result: the first error, if nothing else.
type entry struct {
	*testing.T
	says string
}

// Errorf is that of the test.
func (e *entry) Errorf(format string, a ...any) {
	e.Helper()
	text := fmt.Sprintf(format, a...)
	e.says = cmp.Or(e.says, text)
	e.T.Error(text)
}

// enter makes the entry of a test.
func (l *ledger) enter(t *testing.T) *entry {
	e := &entry{T: t}
	t.Cleanup(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		result := "pass"
		switch {
		case t.Failed():
			result = "FAIL"
		case t.Skipped():
			result = "skip"
		}
		_, name, _ := strings.Cut(t.Name(), "/")
		line := strings.TrimSuffix(fmt.Sprintf("%s  %s: %s", result, name, e.says), ": ")
		fmt.Printf("%6.1fs  %s\n", time.Since(l.begun).Seconds(), line)
		l.count[result]++
		if result != "pass" {
			l.lines = append(l.lines, line)
		}
	})
	return e
}

// sum prints how many tests there were, and those that did not pass.
func (l *ledger) sum() {
	if len(l.count) == 0 {
		return
	}
	slices.Sort(l.lines)
	fmt.Printf("\n%d passed, %d failed, %d skipped\n%s\n", l.count["pass"], l.count["FAIL"], l.count["skip"], strings.Join(l.lines, "\n"))
}
