// Package agree compares two runs of one scenario, usually one in the lab and one on kind: do both say the same, and if not, does the
// scenario explain it? It is pure: it reads nothing but what it is given.
package agree

import (
	"fmt"
	"strings"
	"time"

	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/rundir"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// JudgedRun is one of the two runs.
type JudgedRun struct {
	// Folder is its run folder, as it is to be printed.
	Folder   string
	Scenario *scenario.Scenario
	Run      rundir.Run
	Verdict  judge.Verdict
}

// Agreement says what two runs say alike: agreement.json.
type Agreement struct {
	Scenario string `json:"scenario"`
	// Outcome is pass if both say the same or the scenario explains why not, fail if it does not, inconclusive if one of the runs is,
	// and skipped if no point was looked at by both.
	Outcome judge.Outcome `json:"outcome"`
	Reason  string        `json:"reason"`
	Runs    [2]Summary    `json:"runs"`
	// Notes say what to know before the two are compared.
	Notes []string `json:"notes,omitempty"`
	// Counts is how many rows have each result.
	Counts map[Result]int `json:"counts"`
	Rows   []Row          `json:"rows"`
}

// Summary is one of the two runs in short.
type Summary struct {
	// Name tells the two apart: lab and kind, or lab nftables and lab iptables; one run and other run if cluster and mode are the same.
	Name    string        `json:"name"`
	Folder  string        `json:"folder"`
	ID      string        `json:"id"`
	Cluster string        `json:"cluster"`
	Proxy   string        `json:"proxy"`
	Kernel  string        `json:"kernel,omitempty"`
	Start   string        `json:"start"`
	Outcome judge.Outcome `json:"outcome"`
}

// Row is one point of the comparison. Without a subject it is the run as a whole, with nothing but a variant it is that variant.
type Row struct {
	scenario.Subject
	Answers [2]Answer `json:"answers"`
	Result  Result    `json:"result"`
	// Why explains every result but same.
	Why string `json:"why,omitempty"`
}

// Answer is what one run says.
type Answer struct {
	// Says is shown, partly or absent; fired or quiet; holds or refuted; or nothing.
	Says string `json:"says,omitempty"`
	// Seen is the numbers behind it.
	Seen string `json:"seen,omitempty"`
	// Outcome is a phase's.
	Outcome judge.Outcome `json:"outcome,omitempty"`
}

// Result of a comparison.
type Result string

// The results.
const (
	Same Result = "same"
	// Explained is a difference that the scenario explains: in its list of differences, or because it expects something else of a cluster
	// that offers something else.
	Explained Result = "explained"
	// Unexplained is any other difference, and no difference if the scenario explains one.
	Unexplained Result = "unexplained"
	// Open means that one of the runs is inconclusive there.
	Open Result = "open"
	// Skipped means that not both have an answer: one has not looked there, or what it saw wavered.
	Skipped Result = "skipped"
)

// Missing is the agreement on a scenario that only one side has a run of, with the reason.
func Missing(scenario string, folders [2]string, outcome judge.Outcome, reason string) Agreement {
	runs := [2]Summary{{Folder: folders[0]}, {Folder: folders[1]}}
	return Agreement{Scenario: scenario, Outcome: outcome, Reason: reason, Runs: runs, Counts: map[Result]int{}, Rows: []Row{}}
}

// comparison is an agreement being made.
type comparison struct {
	Agreement
	sides [2]JudgedRun
	// explains is the scenario of the later run, whose differences count.
	explains *scenario.Scenario
}

// Compare compares two runs. An error means that they cannot be compared: they are runs of different scenarios, or of versions of one
// scenario with different phases.
func Compare(first, second JudgedRun) (Agreement, error) {
	c := &comparison{sides: [2]JudgedRun{first, second}, explains: second.Scenario}
	if err := c.alike(); err != nil {
		return Agreement{}, err
	}
	if later(first.Run.Start, second.Run.Start) {
		c.explains = first.Scenario
	}
	c.head()
	for i := range first.Scenario.Variants {
		c.variant(first.Scenario.Variants[i].ID)
	}
	c.claims()
	c.whole()
	c.explain()
	c.conclude()
	return c.Agreement, nil
}

// later reports whether a time in RFC 3339 is after another.
func later(a, b string) bool {
	x, errX := time.Parse(time.RFC3339Nano, a)
	y, errY := time.Parse(time.RFC3339Nano, b)
	return errX == nil && errY == nil && x.After(y)
}

// head says what the two are.
func (c *comparison) head() {
	c.Scenario, c.Rows = c.sides[0].Scenario.Metadata.ID, []Row{}
	names := nameApart(c.sides[0].Run, c.sides[1].Run)
	for i, s := range c.sides {
		c.Runs[i] = Summary{
			Name: names[i], Folder: s.Folder, ID: s.Run.ID, Cluster: s.Run.Cluster, Proxy: s.Run.Proxy, Kernel: s.Run.Versions["kernel"],
			Start: s.Run.Start, Outcome: s.Verdict.Outcome,
		}
	}
	if c.sides[0].Run.Digest != c.sides[1].Run.Digest {
		explains := names[0]
		if c.explains == c.sides[1].Scenario {
			explains = names[1]
		}
		c.note("The two ran different versions of the scenario's file. The differences that count are those of the later run, %s.", explains)
	}
	if one, other := c.Runs[0].Kernel, c.Runs[1].Kernel; one != other && one != "" && other != "" {
		c.note("They ran on different kernels: %s (%s) and %s (%s).", one, names[0], other, names[1])
	}
}

func (c *comparison) note(format string, a ...any) {
	c.Notes = append(c.Notes, fmt.Sprintf(format, a...))
}

// nameApart names the two by what differs: where they ran, and kube-proxy's mode.
func nameApart(a, b rundir.Run) [2]string {
	one, other := where(a, b), where(b, a)
	switch {
	case one != other && a.Proxy == b.Proxy:
		return [2]string{one, other}
	case one != other || a.Proxy != b.Proxy:
		return [2]string{one + " " + a.Proxy, other + " " + b.Proxy}
	}
	return [2]string{"one run", "other run"}
}

// where is the kind of cluster, with the CNI if that is not the smallest one or differs from that of another run.
func where(run, other rundir.Run) string {
	cni, _, _ := strings.Cut(run.Versions["cni"], " ")
	others, _, _ := strings.Cut(other.Versions["cni"], " ")
	if cni == "" || cni == "plain" && (others == "" || others == cni) {
		return run.Cluster
	}
	return run.Cluster + " " + cni
}

func (c *comparison) add(r Row) { c.Rows = append(c.Rows, r) }

// unanswered reports whether a side has no answer, and notes why: it has not looked there, or it is inconclusive there.
func (c *comparison) unanswered(row *Row, skipped, open reasons) bool {
	switch {
	case skipped.any():
		row.Result, row.Why = Skipped, c.say(skipped)
	case open.any():
		row.Result, row.Why = Open, c.say(open)
	default:
		return false
	}
	return true
}

// reasons are why each side has no answer, or nothing.
type reasons [2]string

func (r reasons) any() bool { return r != reasons{} }

// say words reasons, each with its side, or once if both are the same.
func (c *comparison) say(r reasons) string {
	if r[0] == r[1] {
		return r[0]
	}
	var words []string
	for i, reason := range r {
		if reason != "" {
			words = append(words, c.Runs[i].Name+": "+reason)
		}
	}
	return strings.Join(words, "; ")
}
