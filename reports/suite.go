package reports

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/relapse-k8s/relapse/harness/agree"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/rundir"
)

// Names of the files in a suite's folder.
const (
	SuiteFile  = "suite.json"
	SuiteIndex = "index.html"
)

// Suite is several scenarios run as one: suite.json.
type Suite struct {
	// Dir is the suite's folder as the caller named it; reports print it and never open it.
	Dir string `json:"-"`
	// Start in RFC 3339, with fractions of a second.
	Start string  `json:"start"`
	Took  float64 `json:"took_s"`
	// Command line, as a person would type it to run this again.
	Command []string `json:"command"`
	Cluster string   `json:"cluster"`
	Proxy   string   `json:"proxy"`
	Seed    uint64   `json:"seed"`
	// Jobs is how many labs there were at once at the most.
	Jobs int `json:"jobs"`
	// Shard is which part of a larger suite this is; nil if it is all of it.
	Shard *Shard `json:"shard,omitempty"`
	// AgreeWith is the folder of the runs that these were compared with, as the caller named it.
	AgreeWith string `json:"agree_with,omitempty"`
	// Outcome is the worst of all scenarios, and of how they agree with other runs.
	Outcome   judge.Outcome `json:"outcome"`
	Scenarios []SuiteRun    `json:"scenarios"`
}

// Shard is one part of a suite that several machines share.
type Shard struct {
	// Number is from 1 to Of, the number of shards.
	Number int `json:"number"`
	Of     int `json:"of"`
	// Scenarios is how many all shards have together.
	Scenarios int `json:"scenarios"`
}

func (s Shard) String() string {
	return fmt.Sprintf("shard %d of %d of a suite of %d scenarios", s.Number, s.Of, s.Scenarios)
}

// WriteSuite makes the files of the suite's folder.
func WriteSuite(s Suite) error {
	page, err := SuiteHTML(s)
	if err != nil {
		return err
	}
	suites, err := SuiteJUnit(s)
	if err != nil {
		return err
	}
	return errors.Join(
		rundir.WriteFile(s.Dir, SuiteIndex, page), rundir.WriteFile(s.Dir, rundir.JUnitFile, suites), rundir.WriteJSON(s.Dir, SuiteFile, s),
	)
}

// SuiteRun is one scenario of a suite.
type SuiteRun struct {
	Scenario string        `json:"scenario"`
	Title    string        `json:"title"`
	Outcome  judge.Outcome `json:"outcome"`
	Reason   string        `json:"reason"`
	Took     float64       `json:"took_s"`
	Claims   Tally         `json:"claims"`
	// Run is the run folder, relative to the suite's; empty if it did not come to a run.
	Run string `json:"run,omitempty"`
	// Error is what went wrong around the run.
	Error string `json:"error,omitempty"`
	// Agreement is the comparison with another run, if there is one.
	Agreement *agree.Agreement `json:"agreement,omitempty"`
	// Data is what its own reports are made of; nil if there is no run folder.
	Data *Data `json:"-"`
}

// Tally counts claims by what became of them.
type Tally struct {
	Held     int `json:"held"`
	Refuted  int `json:"refuted"`
	Untested int `json:"untested"`
	// Unexpected is how many of them are not as the scenario expects.
	Unexpected int `json:"unexpected"`
}

// Count counts claims.
func Count(claims []judge.Claim) Tally {
	var t Tally
	for _, c := range claims {
		switch c.Result {
		case judge.Holds:
			t.Held++
		case judge.Refuted:
			t.Refuted++
		default:
			t.Untested++
		}
		if ClaimBadge(c.Expected, c.Result).Class == "fail" {
			t.Unexpected++
		}
	}
	return t
}

// reason sums up the outcomes: "7 pass, 1 skipped".
func (s Suite) reason() string {
	var parts []string
	for _, o := range []judge.Outcome{judge.Fail, judge.Inconclusive, judge.Pass, judge.Skipped} {
		n := 0
		for _, r := range s.Scenarios {
			if r.Outcome == o {
				n++
			}
		}
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, o))
		}
	}
	if len(parts) == 0 {
		return "no scenario was run"
	}
	text := strings.Join(parts, ", ")
	if all := s.agreements(); len(all) > 0 {
		agreeing := 0
		for _, a := range all {
			if a.Outcome == judge.Pass {
				agreeing++
			}
		}
		text += fmt.Sprintf("; %d of %d agree with %s", agreeing, len(all), s.AgreeWith)
	}
	return text
}

// agreements lists the comparisons with other runs.
func (s Suite) agreements() []agree.Agreement {
	var all []agree.Agreement
	for _, r := range s.Scenarios {
		if r.Agreement != nil {
			all = append(all, *r.Agreement)
		}
	}
	return all
}

// text is the reason of a scenario and what went wrong around it, in one line.
func (r SuiteRun) text() string {
	return strings.Join(strings.Fields(strings.Trim(r.Reason+"; "+r.Error, "; ")), " ")
}

// report is the address of the scenario's own report, seen from the suite's folder.
func (r SuiteRun) report() string {
	if r.Run == "" {
		return ""
	}
	return r.Run + "/" + rundir.ReportFile
}

// claims lists the claims of all scenarios: those against expectation first, then what is refuted, what holds, what was not tested.
func (s Suite) claims() []suiteClaim {
	var all []suiteClaim
	for _, r := range s.Scenarios {
		if r.Data == nil {
			continue
		}
		for _, row := range r.Data.claims() {
			all = append(all, suiteClaim{Scenario: r.Scenario, Report: r.report(), claimRow: row})
		}
	}
	rank := []string{"fail", "finding", "pass", "skipped"}
	slices.SortStableFunc(all, func(a, b suiteClaim) int {
		return slices.Index(rank, a.Result.Class) - slices.Index(rank, b.Result.Class)
	})
	return all
}

type suiteClaim struct {
	Scenario, Report string
	claimRow
}
