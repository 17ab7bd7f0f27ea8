package judge

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/harness/detect"
	"github.com/relapse-k8s/relapse/harness/plan"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// trial is one variant being judged.
type trial struct {
	s        *scenario.Scenario
	v        *scenario.Variant
	r        *record
	repaired bool
	// attempts is how many the symptom's probe must make in a phase.
	attempts int
	lanes    []plan.Lane
	// offered says what the cluster gives.
	offered func(need string) bool
	// detection lists the detectors of the variant that could be asked.
	detection []scenario.Detector
}

// rule returns the findings on one phase, of one lane or of several pooled; b is the lane's plan.
func (t *trial) rule(p plan.Phase, b plan.Lane, s *stage) []finding {
	findings := t.whole(p, s)
	if conclude(findings).outcome == Pass {
		switch p.Kind {
		case "baseline":
			findings = append(findings, t.baseline(p, s)...)
		case "fault":
			findings = append(findings, t.fault(p, s)...)
		case "remedy":
			findings = append(findings, t.remedy(p, b, s)...)
		case "relapse":
			findings = append(findings, t.relapse(p, b, s)...)
		case "control":
			findings = append(findings, t.control(p, b, s)...)
		case "restored":
			findings = append(findings, t.waits(s, nil, "the cluster did not come back")...)
			findings = append(findings, t.healthy(p, t.s.Healthy, s, Fail)...)
		}
		if p.Kind != "restored" {
			findings = append(findings, t.telling(p, b, s)...)
		}
		findings = append(findings, t.detectors(p, s)...)
	}
	if p.Kind == "restored" {
		findings = append(findings, t.left(s)...)
	}
	return findings
}

// whole are the gates that a phase ran from its begin to its end without an error.
func (t *trial) whole(p plan.Phase, s *stage) []finding {
	ran := gate("the phase runs to its end", "it did", true, "")
	switch {
	case len(s.errors) > 0:
		ran = gate(ran.what, s.errors[0], false, fmt.Sprintf("the run broke down %s: %s", when(p), s.errors[0]))
	case !s.begun && !s.ended:
		ran = gate(ran.what, "it was never reached", false, fmt.Sprintf("phase %s was never reached", p))
	case !s.begun:
		ran = gate(ran.what, "its begin is not in the history", false, fmt.Sprintf("the begin of phase %s is missing", p))
	case !s.ended:
		ran = gate(ran.what, "it never ended", false, fmt.Sprintf("phase %s never ended", p))
	}
	return []finding{ran}
}

func (t *trial) baseline(p plan.Phase, s *stage) []finding {
	findings := append(t.waits(s, nil, "the cluster was not ready"), t.healthy(p, t.s.Healthy, s, Inconclusive)...)
	sound := t.absent(s, "the symptom is there before the fault, so it shows nothing")
	sound.outcome = Inconclusive
	return append(findings, sound)
}

// telling are the gates that what a phase is proven by, and what detectors fire at, did not hold before the fault, nor would have if that
// had taken as long: otherwise it would prove nothing.
func (t *trial) telling(p plan.Phase, b plan.Lane, s *stage) []finding {
	before := t.lane(b).look(b.Phases[0], t.v.Symptom.Probe)
	longer := 1.0
	if span := before.to - before.from; span > 0 {
		longer = max(1, (s.to-s.from)/span)
	}
	var findings []finding
	for _, exp := range slices.Concat(p.Proof, t.rising(p)) {
		c := detect.Reading(exp, before.window)
		if !c.OK && !c.Blind && exp.Rise != nil && exp.Rise.Contains(c.Number*longer) {
			c.OK, c.Fact = true, fmt.Sprintf("%s in a time that is %s times shorter, so it would", c.Fact, units.Number(math.Round(longer*10)/10))
		}
		findings = append(findings, gate("before the fault not: "+c.What, cmp.Or(c.Seen, "not read"), !c.OK,
			fmt.Sprintf("%s proves nothing %s: before the fault it %s too", c.What, when(p), c.Fact)))
	}
	return findings
}

// rising are the bounds on rises at which detectors must fire in a phase.
func (t *trial) rising(p plan.Phase) []scenario.ReadingExpectation {
	var list []scenario.ReadingExpectation
	for _, d := range t.detection {
		counter, ok := d.Use.Config.(*detect.Counter)
		if fires := plan.Fires(d, p); ok && counter.Rise != nil && fires != nil && *fires {
			list = append(list, counter.ReadingExpectation)
		}
	}
	return list
}

func (t *trial) fault(p plan.Phase, s *stage) []finding {
	const never = "the fault was never in effect"
	findings := t.made(s, t.v.Fault.Changes, never)
	findings = append(findings, t.waits(s, p.Until, never)...)
	findings = append(findings, t.enough(s, p))
	findings = append(findings, t.readings(s, p.Proof, never)...)
	if t.repaired {
		findings = append(findings, t.absent(s, "the failure came back, though "+t.v.RepairedBy+" is offered"))
		return append(findings, t.healthy(p, t.s.Healthy, s, Fail)...)
	}
	return append(findings, t.sick(p, s, "the failure did not come back "+when(p))...)
}

// sick are the findings of a phase that shows the failure.
func (t *trial) sick(p plan.Phase, s *stage, lead string) []finding {
	return append([]finding{t.shown(s, lead)}, t.healthy(p, t.v.Symptom.Also, s, Fail)...)
}

func (t *trial) remedy(p plan.Phase, b plan.Lane, s *stage) []finding {
	never := "remedy " + b.Branch + " never took effect"
	findings := t.made(s, t.v.Fault.Changes, "nothing shows that the fault was still being applied "+when(p))
	findings = append(findings, t.made(s, b.Remedy.Changes, never)...)
	findings = append(findings, t.waits(s, p.Until, never)...)
	findings = append(findings, t.enough(s, p))
	findings = append(findings, t.readings(s, p.Proof, "nothing shows that the fault was still being applied "+when(p))...)
	findings = append(findings, t.rare(s, p.Leaves, "remedy "+b.Branch+" did not cure it"))
	return append(findings, t.healthy(p, t.health(p, b), s, Fail)...)
}

func (t *trial) relapse(p plan.Phase, b plan.Lane, s *stage) []finding {
	never := "the fault was not in effect " + when(p)
	findings := t.made(s, t.v.Fault.Changes, never)
	findings = append(findings, t.unmade(s, b.Remedy.Changes, "remedy "+b.Branch+" was not withdrawn")...)
	findings = append(findings, t.waits(s, p.Until, never)...)
	findings = append(findings, t.enough(s, p))
	findings = append(findings, t.readings(s, p.Proof, never)...)
	return append(findings, t.sick(p, s, "the failure did not come back "+when(p))...)
}

// control is judged beside the fault, or in place of it.
func (t *trial) control(p plan.Phase, b plan.Lane, s *stage) []finding {
	c, never := b.Control, "control "+b.Branch+" was never in effect"
	var findings []finding
	if len(c.Instead) == 0 {
		findings = t.made(s, t.v.Fault.Changes, never)
		findings = append(findings, t.made(s, c.With, never)...)
		findings = append(findings, t.felt(s, c.With, never)...)
	} else {
		findings = t.made(s, c.Instead, never)
		findings = append(findings, t.felt(s, c.Instead, never)...)
		findings = append(findings, t.replaced(s, c.Instead, never)...)
	}
	findings = append(findings, t.waits(s, p.Until, never)...)
	findings = append(findings, t.enough(s, p))
	findings = append(findings, t.readings(s, p.Proof, never)...)
	if p.Symptom {
		return append(findings, t.sick(p, s, "control "+b.Branch+" made the failure go away, which it should not")...)
	}
	findings = append(findings, t.absent(s, "control "+b.Branch+" shows the failure, which it should not"))
	return append(findings, t.healthy(p, t.s.Healthy, s, Fail)...)
}

// healthy compares the samples with bounds on probes.
func (t *trial) healthy(p plan.Phase, expectations []scenario.ProbeExpectation, s *stage, bad Outcome) []finding {
	window := s.window
	if !p.Symptom {
		window = window.All() // health is a matter of every attempt
	}
	var findings []finding
	for _, exp := range t.s.HealthyOf(t.v.ID, expectations) {
		for _, c := range detect.ProbeCheck(exp, window) {
			f := finding{what: c.What, seen: c.Seen, ok: c.OK, outcome: bad}
			f.reason = fmt.Sprintf("%s %s %s", exp.Probe, c.Fact, when(p))
			if c.Because != "" {
				f.reason += ": " + c.Because
			}
			if c.Blind {
				f.outcome = Inconclusive
			}
			findings = append(findings, f)
		}
	}
	return findings
}

// readings are gates: without them nobody knows what the samples were taken under.
func (t *trial) readings(s *stage, expectations []scenario.ReadingExpectation, lead string) []finding {
	var findings []finding
	for _, exp := range expectations {
		c := detect.Reading(exp, s.window)
		reason := fmt.Sprintf("%s: %s", lead, c.Seen)
		if !c.Blind {
			subject := exp.Key + " of " + exp.Reader
			if exp.On != "" {
				subject += " on " + exp.On
			}
			reason = fmt.Sprintf("%s: %s %s, %s", lead, subject, c.Fact, c.Because)
		}
		findings = append(findings, gate(c.What, c.Seen, c.OK, reason))
	}
	return findings
}

// waits are gates: each expected wait must be there, and none may have failed.
func (t *trial) waits(s *stage, expected []scenario.ReadingExpectation, lead string) []finding {
	var findings []finding
	done := map[string]bool{}
	for _, w := range s.waits {
		done[w.For] = true
		seen := "after " + units.Seconds(w.Took)
		if !w.OK {
			seen = fmt.Sprintf("timed out after %s, last seen: %s", units.Seconds(w.Took), w.Last)
		}
		findings = append(findings, gate("wait for "+w.For, seen, w.OK,
			fmt.Sprintf("%s: timed out after %s waiting for %s, last seen: %s", lead, units.Seconds(w.Took), w.For, w.Last)))
	}
	for _, exp := range expected {
		if what := detect.WaitFor(exp); !done[what] {
			findings = append(findings, gate("wait for "+what, "was not waited for", false, fmt.Sprintf("%s: %s was not waited for", lead, what)))
		}
	}
	return findings
}

// made are gates that steps are applied.
func (t *trial) made(s *stage, steps []scenario.Step, lead string) []finding {
	var findings []finding
	for _, step := range steps {
		id := step.ID
		on, trouble := s.changes.everywhere(id)
		seen := "it is"
		if !on {
			seen = strings.TrimSuffix("it is not: "+trouble, ": ")
		}
		findings = append(findings, gate("change "+id+" is applied", seen, on,
			strings.TrimSuffix(fmt.Sprintf("%s: change %s was not applied: %s", lead, id, trouble), ": ")))
	}
	return findings
}

// felt are gates that each step has a number that is not 0: a change that changes nothing has none. A remedy that changes nothing does
// not cure, but a control in which nothing happens may be all that is expected of it.
func (t *trial) felt(s *stage, steps []scenario.Step, lead string) []finding {
	var findings []finding
	for _, step := range steps {
		changed := slices.ContainsFunc(s.window.Counters, func(c detect.Counters) bool {
			if c.Reader != "change/"+step.ID {
				return false
			}
			for key, value := range c.End {
				// That it was applied says something only of a change that has no other number.
				if value != 0 && (key != units.Applied || len(c.End) == 1) {
					return true
				}
			}
			return false
		})
		seen := map[bool]string{true: "it did", false: "nothing says so"}[changed]
		findings = append(findings, gate("change "+step.ID+" changed something", seen, changed,
			fmt.Sprintf("%s: nothing says that change %s changed something", lead, step.ID)))
	}
	return findings
}

// unmade are gates that steps are undone.
func (t *trial) unmade(s *stage, steps []scenario.Step, lead string) []finding {
	var findings []finding
	for _, step := range steps {
		id := step.ID
		on := s.changes.anywhere(id)
		seen := map[bool]string{false: "it is", true: "it is still applied"}[on]
		findings = append(findings, gate("change "+id+" is undone", seen, !on, fmt.Sprintf("%s: change %s was still applied", lead, id)))
	}
	return findings
}

// replaced are the gates that the fault is undone while other steps are applied instead; a step of the same name may be both.
func (t *trial) replaced(s *stage, instead []scenario.Step, lead string) []finding {
	gone := slices.DeleteFunc(slices.Clone(t.v.Fault.Changes), func(step scenario.Step) bool {
		return slices.ContainsFunc(instead, func(other scenario.Step) bool { return other.ID == step.ID })
	})
	return t.unmade(s, gone, lead)
}

// left are the hard findings on what a lane leaves behind.
func (t *trial) left(s *stage) []finding {
	var findings []finding
	undone := finding{what: "every change is undone", seen: "all are", ok: true, outcome: Fail, hard: true}
	for _, key := range s.changes.sorted() {
		// A lane that broke off ends with its processes: only where undoing was tried and failed is anything known to be left.
		if state := s.changes[key]; undone.ok && (state.stuck || state.on && s.ended) {
			undone.ok = false
			undone.seen = fmt.Sprintf("%s on %s is not: %s", key.id, key.on, cmp.Or(state.trouble, "nobody tried"))
			undone.reason = fmt.Sprintf("change %s on %s was not undone: %s", key.id, key.on, cmp.Or(state.trouble, "nobody tried"))
		}
	}
	same := finding{what: "the fingerprint is as before", seen: "no differences", ok: true, outcome: Fail, hard: true}
	if len(s.prints) == 0 {
		same = gate(same.what, "none was taken", false, "no fingerprint was taken after the fault was undone")
	}
	for _, print := range s.prints {
		if same.ok && len(print.Differences) > 0 {
			same.ok = false
			same.seen = fmt.Sprintf("%d differences on %s: %s", len(print.Differences), print.On, print.Differences[0])
			same.reason = fmt.Sprintf("not as before after the fault was undone: %s: %s", print.On, print.Differences[0])
		}
	}
	if !s.ended && len(s.prints) == 0 && undone.ok {
		return nil // the phase was not reached, which is said already
	}
	return append(findings, undone, same)
}
