package compare

import (
	"maps"
	"slices"
	"strings"

	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/results"
)

// Comparer takes the results of both sides, and compares them. Of each result it keeps a few numbers.
type Comparer struct {
	sides [2]*side
	// versions are kept once, because most runs have the same.
	versions map[string]map[string]string
}

// side is what is known of one side.
type side struct {
	Side
	runs  map[string]bool
	pairs map[key]*record
}

// key is what a pair is known by.
type key struct{ scenario, variant, env string }

// record is what one side has seen of one pair.
type record struct {
	title    string
	outcomes map[judge.Outcome]int
	runs     int
	oldest   *Ref
	newest   *Ref
	// answers are what runs said with a word, numbers what they said with a number, rates what they counted.
	answers map[Subject]map[answer]*said
	numbers map[Subject][]float64
	rates   map[Subject]*rate
	// versions are the values of each version, digest's among them.
	versions map[string]map[string]bool
}

// answer is what a run said, and what is to be thought of it.
type answer struct {
	says  string
	grade grade
}

// grade is what is to be thought of an answer.
type grade int

const (
	// good is as expected, bad is not, neutral is not judged, open could not be told, and absent was not looked at.
	good grade = iota
	bad
	neutral
	open
	absent
)

// said is how often an answer was given, the first and last run that gave it, why, and the last run before them that gave a good one.
type said struct {
	n                   int
	first, last, before *Ref
	why                 string
}

// rate is hits of trials, and the rate of each run.
type rate struct {
	hits, trials int
	each         []float64
}

// NewComparer begins a comparison of two sides, which are named as a person asked for them.
func NewComparer(base, head string) *Comparer {
	c := &Comparer{versions: map[string]map[string]string{}}
	for i, name := range [2]string{base, head} {
		c.sides[i] = &side{Side: Side{Name: name, Envs: []string{}}, runs: map[string]bool{}, pairs: map[key]*record{}}
	}
	return c
}

// Base adds a result to Base. Those of a side come in the order of time.
func (c *Comparer) Base(r *results.Result) { c.add(0, r) }

// Head adds a result to Head. Those of a side come in the order of time.
func (c *Comparer) Head(r *results.Result) { c.add(1, r) }

func (c *Comparer) add(which int, r *results.Result) {
	s := c.sides[which]
	s.Results++
	s.runs[r.Run] = true
	if s.Oldest.IsZero() || r.Start.Before(s.Oldest) {
		s.Oldest = r.Start
	}
	if r.Start.After(s.Newest) {
		s.Newest = r.Start
	}
	k := key{r.Scenario, r.Variant, r.Env.Key()}
	p := s.pairs[k]
	if p == nil {
		p = &record{
			outcomes: map[judge.Outcome]int{}, answers: map[Subject]map[answer]*said{}, numbers: map[Subject][]float64{}, rates: map[Subject]*rate{},
			versions: map[string]map[string]bool{},
		}
		s.pairs[k] = p
		if !slices.Contains(s.Envs, k.env) {
			s.Envs = append(s.Envs, k.env)
		}
	}
	p.add(r, c.ref(r))
}

// ref keeps what is to be told of a run.
func (c *Comparer) ref(r *results.Result) *Ref {
	var id strings.Builder
	for _, name := range slices.Sorted(maps.Keys(r.Versions)) {
		id.WriteString(name + "=" + r.Versions[name] + "\n")
	}
	shared, known := c.versions[id.String()]
	if !known {
		shared = maps.Clone(r.Versions)
		c.versions[id.String()] = shared
	}
	return &Ref{Run: r.Run, Start: r.Start, Outcome: r.Outcome, Reason: r.Reason, Folder: r.Folder, Command: r.Command, versions: shared, digest: r.Digest}
}

func (p *record) add(r *results.Result, ref *Ref) {
	p.runs++
	p.title = r.Title
	p.outcomes[r.Outcome]++
	if p.oldest == nil || ref.Start.Before(p.oldest.Start) {
		p.oldest = ref
	}
	if p.newest == nil || p.newest.Start.Before(ref.Start) {
		p.newest = ref
	}
	for name, version := range r.Versions {
		p.version(name, version)
	}
	p.version(fileVersion, r.Digest)
	p.say(Subject{What: Outcome}, answer{string(r.Outcome), gradeOf(r.Outcome)}, ref, r.Reason)
	if r.Restored != nil {
		p.say(Subject{What: Restored}, map[bool]answer{true: {"as before", good}, false: {"not as before", bad}}[*r.Restored], ref, r.Reason)
	}
	for _, claim := range r.Claims {
		p.say(Subject{What: Claim, Claim: claim.ID}, answerOfClaim(claim, r.Outcome), ref, claim.Seen)
	}
	if rep := r.Reproduction; rep.Trials > 0 {
		p.count(Subject{What: Reproduction, Phase: "fault"}, rep.Hits, rep.Trials)
		p.count(Subject{What: Met, Phase: "fault"}, rep.Trials, rep.Attempts)
	}
	for i := range r.Phases {
		p.phase(&r.Phases[i], ref)
	}
}

func (p *record) phase(phase *results.Phase, ref *Ref) {
	p.say(Subject{What: Phase, Phase: phase.Name}, answer{string(phase.Outcome), gradeOf(phase.Outcome)}, ref, phase.Why)
	if phase.Outcome == judge.Inconclusive || phase.Outcome == judge.Skipped {
		return // nothing may be concluded from what was seen in it
	}
	for id, d := range phase.Detectors {
		p.say(Subject{What: Detector, Phase: phase.Name, Detector: id}, answerOfDetector(d), ref, d.Seen)
	}
	for id, s := range phase.Probes {
		if s.Count > 0 {
			p.number(Subject{What: Latency, Phase: phase.Name, Probe: id}, s.P50)
		}
	}
	for id, d := range phase.Detectors {
		if d.Says == results.Fired && d.Expected == results.Fired && d.After != nil {
			p.number(Subject{What: Detection, Phase: phase.Name, Detector: id}, *d.After)
		}
	}
	if phase.Recovery != nil {
		p.number(Subject{What: Recovery, Phase: phase.Name}, *phase.Recovery)
	}
}

func gradeOf(o judge.Outcome) grade {
	switch o {
	case judge.Pass:
		return good
	case judge.Fail:
		return bad
	case judge.Skipped:
		return absent
	}
	return open
}

// answerOfClaim grades a claim of a run. One that is untested because of what the cluster cannot show was not looked at, but nobody knows
// that in a run of which nothing can be concluded.
func answerOfClaim(c results.Claim, run judge.Outcome) answer {
	a := answer{says: c.Result}
	switch {
	case c.Result == c.Expected:
	case c.Result == judge.Untested && c.Excused && run != judge.Inconclusive:
		a.grade = absent
	case c.Result == judge.Untested || c.Expected == judge.Untested:
		a.grade = open
	default:
		a.grade = bad
	}
	return a
}

func answerOfDetector(d results.Detected) answer {
	a := answer{says: d.Says}
	switch {
	case d.Says == results.Blind:
		a.grade = open
	case d.Expected == "":
		a.grade = neutral
	case d.Says != d.Expected:
		a.grade = bad
	}
	return a
}

func (p *record) say(about Subject, a answer, ref *Ref, why string) {
	all := p.answers[about]
	if all == nil {
		all = map[answer]*said{}
		p.answers[about] = all
	}
	s := all[a]
	if s == nil {
		s = &said{first: ref, last: ref, before: lastWell(all), why: why}
		all[a] = s
	}
	s.n++
	if ref.Start.Before(s.first.Start) {
		s.first, s.why = ref, why
	}
	if ref.Start.After(s.last.Start) {
		s.last = ref
	}
}

func (p *record) number(about Subject, n float64) { p.numbers[about] = append(p.numbers[about], n) }

func (p *record) count(about Subject, hits, trials int) {
	if trials == 0 {
		return
	}
	r := p.rates[about]
	if r == nil {
		r = &rate{}
		p.rates[about] = r
	}
	r.hits += hits
	r.trials += trials
	r.each = append(r.each, float64(hits)/float64(trials))
}

func (p *record) version(name, version string) {
	if version == "" {
		return
	}
	if p.versions[name] == nil {
		p.versions[name] = map[string]bool{}
	}
	if len(p.versions[name]) < mostVersions {
		p.versions[name][version] = true
	}
}

// mostVersions is how many values of a version are told: a side of many nights has as many of relapse.
const mostVersions = 20

// finish sums up a side.
func (s *side) finish() Side {
	s.Runs = len(s.runs)
	slices.Sort(s.Envs)
	return s.Side
}
