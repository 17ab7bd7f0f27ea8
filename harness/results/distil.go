package results

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/rundir"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// Folder is what a run folder holds.
type Folder struct {
	// Name is that of the folder, without the path to it.
	Name string
	Run  rundir.Run
	// Scenario is nil if this relapse cannot load it.
	Scenario *scenario.Scenario
	// Verdict is nil if the run ended before it was judged.
	Verdict *judge.Verdict
	Events  []history.Event
	// Host is a name for the kind of machine, or empty.
	Host string
}

// Limits of what is kept of texts, in bytes.
const (
	maxText    = 500
	maxCommand = 4000
)

// Distil makes the results of a run folder: one for each variant but those that a person left out.
func Distil(f Folder) ([]Result, error) {
	start, err := time.Parse(time.RFC3339Nano, f.Run.Start)
	if err != nil {
		return nil, fmt.Errorf("%s: start: %w", rundir.RunFile, err)
	}
	base := Result{
		Format: Format, Run: f.Run.ID, Scenario: f.Run.Scenario, Title: short(f.Run.Title), Digest: f.Run.Digest, Start: start.UTC(), Folder: f.Name,
		Env:      EnvironmentOf(f.Run.Cluster, f.Run.Proxy, f.Run.Versions, f.Host),
		Versions: maps.Clone(f.Run.Versions), Command: command(f.Run.Command),
	}
	var list []Result
	if f.Verdict == nil {
		list = f.crashed(base)
	} else {
		list = f.judged(base)
	}
	list = slices.DeleteFunc(list, func(r Result) bool { return f.Run.Skipped[r.Variant] == rundir.NotAskedFor })
	for i := range list {
		list[i].Mechanism = f.mechanism(list[i].Variant)
		if err := list[i].check(); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// mechanism is how a variant causes the failure.
func (f Folder) mechanism(variant string) string {
	if f.Scenario != nil {
		for _, v := range f.Scenario.Variants {
			if v.ID == variant {
				return v.Mechanism
			}
		}
	}
	return ""
}

// command is the command line, unless somebody made it too long to keep.
func command(args []string) []string {
	if len(strings.Join(args, " ")) > maxCommand {
		return nil
	}
	return args
}

// crashed are the results of a run without a verdict. What it skipped is known before it begins.
func (f Folder) crashed(base Result) []Result {
	why := "the run ended before it was judged"
	for _, e := range f.Events {
		if e.Kind == history.KindError && e.Text != "" {
			why += ": " + e.Text
			break
		}
	}
	variants := slices.Sorted(maps.Keys(f.Run.Skipped))
	if f.Scenario != nil {
		variants = nil
		for _, v := range f.Scenario.Variants {
			variants = append(variants, v.ID)
		}
	} else if len(f.Run.Skipped) == 0 || len(f.Events) > 0 {
		variants = append(variants, "") // something ran, and nobody knows what
	}
	times := newTimes(f)
	var list []Result
	for _, v := range variants {
		r := base
		r.Variant = v
		r.Outcome, r.Reason, r.Crashed = judge.Inconclusive, short(why), true
		if skipped, ok := f.Run.Skipped[v]; ok {
			r.Outcome, r.Reason, r.Crashed = judge.Skipped, short(skipped), false
		}
		r.Took = rounded(times.took(v))
		list = append(list, r)
	}
	return list
}

// judged are the results of a verdict.
func (f Folder) judged(base Result) []Result {
	times := newTimes(f)
	var list []Result
	for _, v := range f.Verdict.Variants {
		r := base
		r.Variant, r.Outcome, r.Reason = v.Name, v.Outcome, short(v.Reason)
		r.Reproduction = Reproduction{v.Reproduction.Hits, v.Reproduction.Trials, max(v.Reproduction.Attempts, v.Reproduction.Trials)}
		r.Took = rounded(times.took(v.Name))
		for _, p := range v.Phases {
			r.Phases = append(r.Phases, times.phase(v.Name, p))
		}
		// What is left fails a run. An inconclusive one, such as one that was interrupted, may have ended before anybody looked.
		if v.Outcome != judge.Skipped && (f.Verdict.Restored.Clean || f.Verdict.Outcome == judge.Fail) {
			r.Restored = &f.Verdict.Restored.Clean
		}
		list = append(list, r)
	}
	if len(list) == 0 {
		r := base
		r.Outcome, r.Reason = f.Verdict.Outcome, short(f.Verdict.Reason)
		return []Result{r}
	}
	f.claims(list)
	f.whole(list)
	return list
}

// claims gives each claim to the variant in which it is checked, or the first if nobody knows.
func (f Folder) claims(list []Result) {
	for _, c := range f.Verdict.Claims {
		at := slices.IndexFunc(list, func(r Result) bool { return r.Variant == f.checkedIn(c.ID) })
		r := &list[max(at, 0)]
		kept := Claim{
			ID: c.ID, Says: short(c.Says), Expected: cmp.Or(c.Expected, judge.Untested), Result: cmp.Or(c.Result, judge.Untested), Excused: c.Excused,
		}
		if kept.Result != kept.Expected {
			kept.Seen = short(c.Seen)
		}
		r.Claims = append(r.Claims, kept)
	}
}

func (f Folder) checkedIn(claim string) string {
	if f.Scenario != nil {
		for _, c := range f.Scenario.Claims {
			if c.ID == claim {
				return c.Check.Variant
			}
		}
	}
	return ""
}

// whole gives the run's outcome to variants that ran, if none of them explains it.
func (f Folder) whole(list []Result) {
	worst := judge.Skipped
	for _, r := range list {
		worst = judge.Worst(worst, r.Outcome)
	}
	if judge.Worst(worst, f.Verdict.Outcome) == worst {
		return
	}
	wrong := func(r Result) bool { // a claim that is not as expected is a reason of its own variant
		return slices.ContainsFunc(r.Claims, func(c Claim) bool {
			return c.Result != c.Expected && c.Result != judge.Untested && c.Expected != judge.Untested
		})
	}
	some := slices.ContainsFunc(list, wrong)
	for i := range list {
		if r := &list[i]; r.Outcome != judge.Skipped && (!some || wrong(*r)) {
			r.Outcome, r.Reason = f.Verdict.Outcome, short(f.Verdict.Reason)
		}
	}
}

// short keeps the beginning of a text.
func short(text string) string {
	if len(text) <= maxText {
		return text
	}
	end := maxText
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}

// rounded keeps five digits of a number of seconds: no clock is better.
func rounded(seconds float64) float64 {
	if seconds <= 0 || math.IsInf(seconds, 0) || math.IsNaN(seconds) {
		return 0
	}
	digit := math.Pow(10, 4-math.Floor(math.Log10(seconds)))
	return math.Round(seconds*digit) / digit
}
