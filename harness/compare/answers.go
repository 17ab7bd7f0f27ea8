package compare

import (
	"fmt"
	"slices"
	"strings"

	"github.com/relapse-k8s/relapse/harness/judge"
)

// tally counts the answers of one side by their grade.
type tally struct {
	n   map[grade]int
	all int
}

func tallyOf(answers map[answer]*said) tally {
	t := tally{n: map[grade]int{}}
	for a, s := range answers {
		t.n[a.grade] += s.n
		t.all += s.n
	}
	return t
}

// told is how many answers tell something: all but those that are open or absent.
func (t tally) told() int { return t.all - t.n[open] - t.n[absent] }

// verdict is what became of the answers about one subject; of is the grade that it is about. If chance is true, both sides gave such an
// answer, and a test decides.
type verdict struct {
	change Change
	of     grade
	chance bool
}

// judgeAnswers compares the answers of two sides about one subject. Runs never fail by chance (a busy machine makes them inconclusive), so
// one bad answer after nothing but others is worse; they may be inconclusive by chance, so that is only told if no run of Head has an answer.
func judgeAnswers(base, head tally) verdict {
	switch {
	case base.all == 0 || head.all == 0:
		// A subject that only one side has comes and goes with the scenario's file or with the phases before it. What is bad about it
		// is.
		if head.n[bad] > 0 {
			return verdict{change: Worse, of: bad}
		}
		return verdict{change: Same}
	case head.n[bad] > 0 && base.n[bad] == 0:
		return verdict{change: Worse, of: bad}
	case head.told() == 0 && base.told() > 0:
		if head.n[open] == 0 {
			return verdict{change: Skipped, of: absent}
		}
		return verdict{change: Inconclusive, of: open}
	case base.told() == 0 && head.told() > 0:
		return verdict{change: Better, of: good}
	case base.n[bad] > 0 && head.n[bad] == 0 && base.n[bad] == base.told():
		return verdict{change: Better, of: good}
	case base.n[bad] > 0:
		return verdict{change: Same, of: bad, chance: true}
	case base.n[neutral] > 0 || head.n[neutral] > 0:
		return verdict{change: Same, of: neutral, chance: true}
	case base.n[open] > 0 || head.n[open] > 0:
		return verdict{change: Same, of: open, chance: true}
	}
	return verdict{change: Same}
}

// finding compares what both sides said about a subject. If the test must decide, it is returned too.
func (p *pairing) finding(about Subject) (*Finding, *Test) {
	base, head := p.sides[0].answers[about], p.sides[1].answers[about]
	t := [2]tally{tallyOf(base), tallyOf(head)}
	v := judgeAnswers(t[0], t[1])
	if v.chance {
		return nil, answerTest(about, v.of, base, head, t)
	}
	f := &Finding{Subject: about, Change: v.change}
	if v.change == Same {
		was, is := only(base), only(head)
		if was == nil || is == nil || was.says == is.says {
			return nil, nil
		}
		f.Change = Changed // both as expected, which is not the same on both sides
		f.Says = before(words(about, *is, t[1].all, t[1].all), words(about, *was, t[0].all, t[0].all))
		return f, nil
	}
	is, s := mostOf(head, v.of)
	f.Says = words(about, is, t[1].n[v.of], t[1].all)
	if t[0].all > 0 {
		was, _ := mostOf(base, good, neutral, bad, open, absent)
		f.Says += ", before " + ofAll(t[0].n[v.of], t[0].all)
		if v.change != Worse || v.of != bad || was.grade != good {
			f.Says = before(words(about, is, t[1].n[v.of], t[1].all), words(about, was, t[0].n[was.grade], t[0].all))
		}
	}
	if v.of != good {
		f.Why, f.FirstBad = s.why, s.first
		f.LastGood = lastGood(s, base)
	}
	return f, nil
}

// answerTest is the test of how many runs gave answers of a grade; for answers that are not judged, the one that most runs of Base gave.
func answerTest(about Subject, of grade, base, head map[answer]*said, t [2]tally) *Test {
	test := &Test{Subject: about}
	counts := [2]int{t[0].n[of], t[1].n[of]}
	name, _ := mostOf(head, of)
	if name.says == "" {
		name, _ = mostOf(base, of)
	}
	if of == neutral {
		name, _ = mostOf(base, of)
		if name.says == "" {
			name, _ = mostOf(head, of)
		}
		for i, answers := range []map[answer]*said{base, head} {
			counts[i] = 0
			if s := answers[name]; s != nil {
				counts[i] = s.n
			}
		}
	}
	test.Of = name.says
	test.Base = Sample{Runs: t[0].all, Hits: counts[0], Trials: t[0].all}
	test.Head = Sample{Runs: t[1].all, Hits: counts[1], Trials: t[1].all}
	test.grade = of
	return test
}

// only is the one answer of a side, or nil if there are several or none.
func only(answers map[answer]*said) *answer {
	if len(answers) != 1 {
		return nil
	}
	for a := range answers {
		return &a
	}
	return nil
}

// mostOf is the answer that was given most often, of the first of some grades that was given at all.
func mostOf(answers map[answer]*said, grades ...grade) (answer, *said) {
	var most answer
	var said *said
	for _, g := range grades {
		for a, s := range answers {
			if a.grade == g && (said == nil || s.n > said.n || s.n == said.n && a.says < most.says) {
				most, said = a, s
			}
		}
		if said != nil {
			break
		}
	}
	return most, said
}

// lastGood is the last run that gave a good answer, or one that is not judged, before the first that gave another.
func lastGood(other *said, base map[answer]*said) *Ref {
	if other.before != nil {
		return other.before
	}
	if last := lastWell(base); last != nil && last.Start.Before(other.first.Start) {
		return last
	}
	return nil
}

// lastWell is the last run that gave a good answer, or one that is not judged.
func lastWell(answers map[answer]*said) *Ref {
	var last *Ref
	for a, s := range answers {
		if (a.grade == good || a.grade == neutral) && (last == nil || s.last.Start.After(last.Start)) {
			last = s.last
		}
	}
	return last
}

// words says an answer as a sentence's end: failed 1 of 1.
func words(about Subject, a answer, n, all int) string {
	verb := map[string]string{
		string(judge.Pass): "passed", string(judge.Fail): "failed", string(judge.Inconclusive): "was inconclusive", string(judge.Skipped): "was skipped",
		judge.Holds: "held", judge.Refuted: "was refuted", judge.Untested: "was untested",
		"quiet": "was quiet", "blind": "had nothing to see", "as before": "left nothing behind", "not as before": "left something behind",
	}[a.says]
	switch {
	case about.What == Detector && a.says == "quiet" && a.grade == bad:
		verb = "was silent"
	case verb == "":
		verb = a.says
	}
	return verb + " " + ofAll(n, all)
}

// before says what is, and what was.
func before(is, was string) string { return is + ", before " + strings.TrimPrefix(was, "was ") }

func ofAll(n, all int) string { return fmt.Sprintf("%d of %d", n, all) }

// subjects lists what a pair's sides gave answers about, in an order that does not change.
func subjects[V any](sides ...map[Subject]V) []Subject {
	var all []Subject
	for _, s := range sides {
		for about := range s {
			all = append(all, about)
		}
	}
	slices.SortFunc(all, bySubject)
	return slices.Compact(all)
}

var whats = []What{Outcome, Restored, Claim, Phase, Detector, Reproduction, Met, Recovery, Detection, Latency}

func bySubject(a, b Subject) int {
	if d := slices.Index(whats, a.What) - slices.Index(whats, b.What); d != 0 {
		return d
	}
	return slices.Compare([]string{phaseRank(a.Phase), a.Detector, a.Claim, a.Probe}, []string{phaseRank(b.Phase), b.Detector, b.Claim, b.Probe})
}

// phaseRank sorts phases in the order of a run.
func phaseRank(phase string) string {
	kind, id, _ := strings.Cut(phase, "/")
	rank := map[string]string{"baseline": "0", "fault": "1", "remedy": "2", "relapse": "3", "control": "4", "restored": "5"}[kind]
	return rank + id + kind
}

// String names the subject: detector drop in fault.
func (s Subject) String() string {
	switch s.What {
	case Outcome:
		return "outcome"
	case Restored:
		return "restored"
	case Claim:
		return "claim " + s.Claim
	case Phase:
		return "phase " + s.Phase
	case Detector:
		return "detector " + s.Detector + " in " + s.Phase
	case Reproduction:
		return "reproduction"
	case Met:
		return "proof of the fault"
	case Latency:
		return "latency of " + s.Probe + " in " + s.Phase
	case Detection:
		return "time until detector " + s.Detector + " fired in " + s.Phase
	case Recovery:
		return "time to recover in " + s.Phase
	}
	return string(s.What)
}
