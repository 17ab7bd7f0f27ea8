package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/clusters/agent/readers"
	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/clusters/lab"
	"github.com/relapse-k8s/relapse/clusters/offers"
	"github.com/relapse-k8s/relapse/harness/detect"
	"github.com/relapse-k8s/relapse/harness/plan"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// plan prints what a run would do, from the same plan that the engine and the judge follow.
func (p *page) plan(s *scenario.Scenario, only, proxy string) error {
	p.text("", fmt.Sprintf("%s: what a run in the lab would do, with kube-proxy in %s mode. Nothing is changed.", s.Metadata.ID, proxy))
	said := map[string]string{} // layouts that are already printed, and for which variant
	for i := range s.Variants {
		v := &s.Variants[i]
		if only != "" && v.ID != only {
			continue
		}
		p.heading(fmt.Sprintf("Variant %s", v.ID))
		if need := unmet(s, v, proxy); need != "" {
			p.text("  ", fmt.Sprintf("Skipped: needs %s, which is not offered with kube-proxy in %s mode.", need, proxy))
			continue
		}
		if err := p.variantPlan(s, v, proxy, said); err != nil {
			return err
		}
	}
	return nil
}

// unmet returns what a variant needs and kube-proxy's mode does not offer. Other needs depend on the machine: see relapse list.
func unmet(s *scenario.Scenario, v *scenario.Variant, proxy string) string {
	offers := offers.Proxy(proxy, false)
	for _, need := range s.NeedsOf(v) {
		if offer, known := offers[need]; known && !offer.OK {
			return need
		}
	}
	return ""
}

func (p *page) variantPlan(s *scenario.Scenario, v *scenario.Variant, proxy string, said map[string]string) error {
	layout, err := (&lab.Lab{}).Layout(clusters.Spec{Nodes: s.Topology.Nodes, PodNetwork: s.Topology.PodNetwork, Proxy: proxy, Workload: s.WorkloadOf(v)})
	if err != nil {
		return err
	}
	lanes := plan.Lanes(s, v, false)
	side := fmt.Sprintf("%d lanes in parallel, each in a lab with", len(lanes))
	switch {
	case v.HostChanges:
		side = fmt.Sprintf("%d lanes one after another, alone on the machine, because they change it; only with --allow-host-changes. Each in a lab with", len(lanes))
	case s.Topology.Exclusive:
		side = fmt.Sprintf("%d lanes in parallel; in a suite no other scenario runs beside them. Each in a lab with", len(lanes))
	case len(lanes) == 1:
		side = "One lane, in a lab with"
	}
	p.text("  ", side)
	made := strings.Join(layout, "\n")
	if other := said[made]; other != "" {
		layout = []string{"the same as in variant " + other}
	} else {
		said[made] = v.ID
	}
	for _, line := range layout {
		p.text("      ", line)
	}
	p.text("  ", "Read at the start and end of each phase, and in between for the plot:")
	p.text("      ", strings.Join(watched(s), "; ")+"; the readings of each change")
	for i, l := range lanes {
		p.lane(s, v, l, lanes[0], i == 0)
	}
	if v.RepairedBy != "" {
		p.verbatim("", "")
		p.text("  ", fmt.Sprintf("If the lab offers %s, only this lane runs: the fault must take effect, and no attempt may show the symptom.", v.RepairedBy))
		for _, l := range plan.Lanes(s, v, true) {
			p.lane(s, v, l, lanes[0], false)
		}
	}
	return nil
}

// watched lists the readings that are taken at places.
func watched(s *scenario.Scenario) []string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(readers.Catalogue)) {
		if readers.Catalogue[name].Always {
			list = append(list, name+" on nodes")
		}
	}
	for _, w := range s.Watched(nil) {
		text := fmt.Sprintf("%s of %s on %s", w.Key, w.Reader, w.On)
		if readers.Catalogue[w.Reader].Always {
			text = w.Reader + " on " + w.On
		}
		if !slices.Contains(list, text) {
			list = append(list, text)
		}
	}
	return list
}

// lane prints the phases of a lane. A phase that is the same as in the first lane is not printed again.
func (p *page) lane(s *scenario.Scenario, v *scenario.Variant, l, first plan.Lane, whole bool) {
	title := "the fault alone"
	switch {
	case l.Remedy != nil:
		title = "remedy: " + l.Remedy.Title
	case l.Control != nil:
		title = "control: " + l.Control.Title
	}
	p.verbatim("", "")
	p.text("  ", "Lane "+l.Name+", "+title)
	for i, phase := range l.Phases {
		lines := phaseLines(s, v, l, phase)
		if !whole && i < len(first.Phases) && phase.String() == first.Phases[i].String() {
			other := first.Phases[i]
			other.Collects = phase.Collects
			if slices.Equal(lines, phaseLines(s, v, first, other)) {
				p.text("    ", phase.String()+": same as in "+first.Name)
				continue
			}
		}
		p.verbatim("    ", phase.String())
		for _, line := range lines {
			p.text(fmt.Sprintf("      %-8s ", line[0]), line[1])
		}
	}
}

// phaseLines returns what is done in a phase, in order: each line is a verb and its object.
func phaseLines(s *scenario.Scenario, v *scenario.Variant, l plan.Lane, p plan.Phase) [][2]string {
	var lines [][2]string
	add := func(verb, format string, a ...any) { lines = append(lines, [2]string{verb, fmt.Sprintf(format, a...)}) }
	for _, step := range slices.Backward(p.Undo) {
		add("undo", "%s on %s", step.ID, step.On)
	}
	for _, step := range p.Apply {
		add("apply", "%s", stepText(step))
	}
	if p.Settles {
		for _, probe := range s.ProbesOf(v.ID) {
			add("wait", "until %s has had %s; the first of these must begin within %s", probe.ID, plan.ReadyText, plan.ReadyBegin(probe))
		}
	}
	for _, exp := range p.Until {
		add("wait", "until %s, for at most %s", detect.WaitFor(exp), plan.EffectiveLimit)
	}
	for _, step := range p.During {
		add("apply", "%s, %s after the first attempt", stepText(step), step.After)
	}
	for _, probe := range s.ProbesOf(v.ID) {
		count := fmt.Sprintf("%d attempts", plan.Attempts(v, probe, p.Phase, 0))
		if probe.Background {
			count = "in the background"
		}
		add("sample", "%s from %s: %s, one every %s; %s", probe.ID, probe.From, count, probe.Every, useText(probe.Use))
	}
	also := s.Healthy
	switch {
	case p.Symptom:
		add("expect", "%s of the attempts of %s %s", v.Symptom.Share, v.Symptom.Probe, v.Symptom.Attempt)
		also = v.Symptom.Also
	case p.Kind != "baseline" && p.Kind != "restored":
		add("expect", "no attempt of %s %s", v.Symptom.Probe, v.Symptom.Attempt)
		if l.Remedy != nil && len(l.Remedy.Healthy) > 0 {
			also = l.Remedy.Healthy
		}
	}
	for _, exp := range s.HealthyOf(v.ID, also) {
		add("expect", "%s", probeText(exp))
	}
	for _, exp := range p.Proof {
		add("expect", "%s", detect.WaitFor(exp))
	}
	byFires := map[bool][]string{}
	for _, d := range plan.Detectors(s, v, func(string) bool { return true }) {
		id := d.ID
		if len(d.Needs) > 0 {
			id += " (if the lab offers " + strings.Join(d.Needs, ", ") + ")"
		}
		if fires := plan.Fires(d, p); fires != nil {
			byFires[*fires] = append(byFires[*fires], id)
		}
	}
	if list := byFires[true]; len(list) > 0 {
		add("expect", "these detectors fire within %s: %s", plan.DetectLimit, strings.Join(list, ", "))
	}
	if list := byFires[false]; len(list) > 0 {
		add("expect", "these detectors stay quiet: %s", strings.Join(list, ", "))
	}
	if p.Captures {
		add("keep", "a packet capture of the pod that runs %s", v.Symptom.Probe)
	}
	for _, c := range s.Evidence {
		if p.Collects {
			add("keep", "the output of %s on %s", strings.Join(c.Run, " "), c.On)
		}
	}
	if p.Kind == "baseline" {
		add("keep", "fingerprints of the lab and the machine")
	}
	if p.Kind == "restored" {
		add("expect", "the same fingerprints as in baseline")
	}
	return lines
}

// probeText says what the attempts of a probe must show.
func probeText(e scenario.ProbeExpectation) string {
	var parts []string
	if e.Count != nil {
		parts = append(parts, e.Count.String()+" attempts")
	}
	if e.Failed != nil {
		parts = append(parts, e.Failed.String()+" failed")
	}
	for _, b := range []struct {
		name  string
		bound *units.DurationRange
	}{{"fastest", e.Fastest}, {"p50", e.P50}, {"p99", e.P99}, {"slowest", e.Slowest}} {
		if b.bound != nil {
			parts = append(parts, b.name+" "+b.bound.String())
		}
	}
	if e.Busiest != nil {
		parts = append(parts, e.Busiest.String()+" of the answers from one pod")
	}
	return e.Probe + ": " + strings.Join(parts, ", ")
}

func stepText(step scenario.Step) string {
	text := useText(step.Use) + " on " + step.On
	if step.ID != step.Use.Name {
		text = step.ID + ": " + text
	}
	return text
}

// useText is an entry of the catalogue with its settings in one line, as in a scenario file.
func useText(use scenario.Use) string {
	data, err := json.Marshal(use.Config)
	if err != nil {
		return use.Name
	}
	var node yaml.Node
	if err := yaml.Unmarshal(data, &node); err != nil || len(node.Content) == 0 {
		return use.Name
	}
	settings := node.Content[0]
	plain(settings)
	if len(settings.Content) == 0 {
		return use.Name
	}
	text, err := yaml.Marshal(settings)
	if err != nil {
		return use.Name
	}
	return use.Name + " " + string(bytes.TrimSpace(text))
}

// plain removes settings that are not set, and quotes that YAML does not need. A text such as "0" is set.
func plain(n *yaml.Node) {
	n.Style = yaml.FlowStyle
	if n.Kind == yaml.ScalarNode {
		n.Style = 0
	}
	if n.Kind == yaml.MappingNode {
		var kept []*yaml.Node
		for i := 0; i+1 < len(n.Content); i += 2 {
			value := n.Content[i+1]
			if unset := slices.Contains([]string{"!!str ", "!!str 0s", "!!int 0", "!!bool false", "!!null null"}, value.ShortTag()+" "+value.Value); !unset {
				kept = append(kept, n.Content[i], value)
			}
		}
		n.Content = kept
	}
	for _, child := range n.Content {
		plain(child)
	}
}
