package judge

import (
	"fmt"
	"slices"
	"strings"

	"github.com/relapse-k8s/relapse/harness/detect"
	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/plan"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// decide asks a detector. An unknown one sees nothing.
func decide(d scenario.Detector, w detect.Window) detect.Result {
	detector, ok := d.Use.Config.(detect.Detector)
	if !ok {
		return detect.Result{Blind: true, Text: fmt.Sprintf("%q is not in the catalogue of detectors", d.Use.Name)}
	}
	return detector.Decide(w)
}

func hostWide(d scenario.Detector) bool {
	_, is := d.Use.Config.(detect.HostWide)
	return is
}

// detectors asks those that look at one lane.
func (t *trial) detectors(p plan.Phase, s *stage) []finding {
	var findings []finding
	for _, d := range t.detection {
		if fires := plan.Fires(d, p); fires != nil && !hostWide(d) {
			findings = append(findings, t.detector(p, d, *fires, decide(d, s.window)))
		}
	}
	return findings
}

// unseen is why no detector that must fire was asked, where the scenario has one: the cluster offers too little.
func (t *trial) unseen() string {
	var missing []string
	for _, d := range t.s.Detection {
		if d.Expect == scenario.ExpectSilent || !scenario.Applies(d.Variants, t.v.ID) {
			continue
		}
		lacks := slices.DeleteFunc(slices.Clone(d.Needs), t.offered)
		if len(lacks) == 0 {
			return ""
		}
		missing = append(missing, fmt.Sprintf("detector %s needs %s", d.ID, strings.Join(lacks, ", ")))
	}
	if t.repaired || len(missing) == 0 {
		return ""
	}
	return "no detector could be asked: " + strings.Join(missing, ", ")
}

// detector is the finding on what a detector said.
func (t *trial) detector(p plan.Phase, d scenario.Detector, due bool, got detect.Result) finding {
	f := finding{seen: got.Text, ok: got.Fired == due && !got.Blind, outcome: Fail}
	switch {
	case d.Expect == scenario.ExpectSilent:
		f.what = "detector " + d.ID + " does not see it"
		f.reason = fmt.Sprintf("detector %s fired %s, which it is not expected to: %s", d.ID, when(p), got.Text)
	case due:
		f.what = "detector " + d.ID + " fires"
		f.reason = fmt.Sprintf("detector %s stayed silent %s: %s", d.ID, when(p), got.Text)
	default:
		f.what = "detector " + d.ID + " is quiet"
		f.reason = fmt.Sprintf("detector %s fired %s: %s", d.ID, when(p), got.Text)
	}
	switch p.Kind {
	case "baseline":
		f.outcome = Inconclusive
		f.reason = fmt.Sprintf("detector %s already fired before the fault: %s", d.ID, got.Text)
	case "remedy":
		if due {
			break
		}
		f.reason = fmt.Sprintf("detector %s still fired %s: %s", d.ID, when(p), got.Text)
	}
	if got.Blind {
		f.outcome = Inconclusive
		f.reason = fmt.Sprintf("detector %s had nothing to see %s: %s", d.ID, when(p), got.Text)
	}
	return f
}

// wide is the window for detectors that look at what the machine has only one of. Where they must fire, a line for any node
// of the run will do, for the kernel limits the rate of its messages over all of them. Where they must be quiet, only what
// the lanes themselves have caused counts against them.
func (t *trial) wide(p plan.Phase, due *bool, lanes []*lane, pooled *stage) detect.Window {
	w := pooled.window
	w.Nodes, w.Logs = t.r.all, nil
	mayFire := due != nil && *due
	for _, e := range t.r.logs {
		for _, l := range lanes {
			s := l.stage(p.String())
			if s.ended && e.T >= s.from && e.T <= s.to && (mayFire || t.r.caused(l, e)) {
				w.Logs = append(w.Logs, *e.Log)
				break
			}
		}
	}
	return w
}

// caused reports whether a log line must be taken to be a lane's own. Where the kernel does not say whose it is, it is
// another lane's if that was under the fault then.
func (r *record) caused(l *lane, e history.Event) bool {
	if e.Log.Netns != 0 {
		return r.nodes[l.name][e.Log.Netns]
	}
	if e.Lane != "" {
		return e.Lane == l.name
	}
	for name, other := range r.lanes {
		if name == l.name {
			continue
		}
		for phase, s := range other.stages {
			p, err := scenario.ParsePhase(phase)
			loud := err == nil && (p.Kind == "fault" || p.Kind == "relapse" || p.Kind == "control")
			if loud && s.begun && e.T >= s.began && (!s.ended || e.T <= s.to) {
				return false
			}
		}
	}
	return true
}

// detected sums up what the detectors say of a phase over its lanes. One has fired when it fired in every lane; where it must
// be quiet, one lane is enough.
func (t *trial) detected(p plan.Phase, stages []*stage, pooled *stage, wide detect.Window) (shown map[string]Detected, everywhere map[string]bool) {
	shown, everywhere = map[string]Detected{}, map[string]bool{}
	for _, d := range t.detection {
		window := pooled.window
		if hostWide(d) {
			window = wide
		}
		got := decide(d, window)
		inAll, inAny, blind, wavers, text := got.Fired, got.Fired, got.Blind, got.Wavers, got.Text
		if !hostWide(d) {
			inAll, inAny = len(stages) > 0, false
			for _, s := range stages {
				one := decide(d, s.window)
				inAll, inAny, wavers = inAll && one.Fired, inAny || one.Fired, wavers || one.Wavers
				if one.Blind {
					blind, text = true, one.Text
				}
			}
		}
		everywhere[d.ID] = inAll
		one := Detected{Fired: inAll, Reading: got.Reading, Text: got.Text, Wavers: wavers, Expected: plan.Fires(d, p)}
		if one.Expected != nil && !*one.Expected {
			one.Fired = inAny
		}
		if blind && !one.Fired {
			one.Blind, one.Text = true, text
		}
		shown[d.ID] = one
	}
	return shown, everywhere
}
