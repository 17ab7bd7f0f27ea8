package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/clusters/lab"
	"github.com/relapse-k8s/relapse/harness/detect"
	"github.com/relapse-k8s/relapse/harness/plan"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// plan says what a run would do, from what the engine and the judge go by, and touches nothing.
func (p *page) plan(s *scenario.Scenario, only, proxy string) error {
	p.text("", fmt.Sprintf("%s: what a run would do, with kube-proxy in %s mode. Nothing is touched.", s.Metadata.ID, proxy))
	said := map[string]string{} // what labs are made of, with the variant whose are
	for i := range s.Variants {
		v := &s.Variants[i]
		if only != "" && v.ID != only {
			continue
		}
		p.heading(fmt.Sprintf("Variant %s", v.ID))
		if need := unmet(s, v, proxy); need != "" {
			p.text("  ", fmt.Sprintf("Skipped: it needs %s, and kube-proxy would run in %s mode.", need, proxy))
			continue
		}
		if err := p.variantPlan(s, v, proxy, said); err != nil {
			return err
		}
	}
	return nil
}

// unmet is what a variant needs that kube-proxy's mode denies it. The rest only the machine can tell: relapse list asks it.
func unmet(s *scenario.Scenario, v *scenario.Variant, proxy string) string {
	offers := clusters.ProxyOffers(proxy)
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
	side := fmt.Sprintf("%d labs side by side, each with", len(lanes))
	switch {
	case v.HostChanges:
		side = fmt.Sprintf("%d labs one after the other, when no others are left, because the machine is changed; only with --allow-host-changes. Each has", len(lanes))
	case s.Topology.Exclusive:
		side = fmt.Sprintf("%d labs side by side, and in a suite no other scenario's beside them, each with", len(lanes))
	case len(lanes) == 1:
		side = "One lab, with"
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
	p.text("  ", "Read at the begin and the end of each phase, and in between for the picture:")
	p.text("      ", strings.Join(watched(s), "; ")+"; what each change says of itself")
	for i, l := range lanes {
		p.lane(s, v, l, lanes[0], i == 0)
	}
	if v.RepairedBy != "" {
		p.verbatim("", "")
		p.text("  ", fmt.Sprintf("Where there is %s, one lab takes the place of all these: the fault must be in effect, no attempt may show the symptom.", v.RepairedBy))
		for _, l := range plan.Lanes(s, v, true) {
			p.lane(s, v, l, lanes[0], false)
		}
	}
	return nil
}

// watched lists what is read at places.
func watched(s *scenario.Scenario) []string {
	list := []string{"conntrack on nodes"}
	for _, w := range s.Watched() {
		text := fmt.Sprintf("%s of %s on %s", w.Key, w.Reader, w.On)
		if w.Reader == scenario.ReaderConntrack {
			text = "conntrack on " + w.On
		}
		if !slices.Contains(list, text) {
			list = append(list, text)
		}
	}
	return list
}

// lane prints the phases of a lane; what is the same as in the first lane is not said again.
func (p *page) lane(s *scenario.Scenario, v *scenario.Variant, l, first plan.Lane, whole bool) {
	title := "the fault alone"
	switch {
	case l.Remedy != nil:
		title = "remedy: " + l.Remedy.Title
	case l.Control != nil:
		title = "control: " + l.Control.Title
	}
	p.verbatim("", "")
	p.text("  ", "Lab "+l.Name+", "+title)
	for i, phase := range l.Phases {
		lines := phaseLines(s, v, phase)
		if !whole && i < len(first.Phases) && phase.String() == first.Phases[i].String() {
			other := first.Phases[i]
			other.Collects = phase.Collects
			if slices.Equal(lines, phaseLines(s, v, other)) {
				p.text("    ", phase.String()+": as in "+first.Name)
				continue
			}
		}
		p.verbatim("    ", phase.String())
		for _, line := range lines {
			p.text(fmt.Sprintf("      %-8s ", line[0]), line[1])
		}
	}
}

// phaseLines are what is done in a phase, each a verb and its objects, in their order.
func phaseLines(s *scenario.Scenario, v *scenario.Variant, p plan.Phase) [][2]string {
	var lines [][2]string
	add := func(verb, format string, a ...any) { lines = append(lines, [2]string{verb, fmt.Sprintf(format, a...)}) }
	for _, step := range slices.Backward(p.Undo) {
		add("undo", "%s on %s", step.ID, step.On)
	}
	for _, step := range p.Apply {
		add("make", "%s", stepText(step))
	}
	if p.Settles {
		add("wait", "until each probe has succeeded %d times in a row, for %s at the most", plan.ReadyInRow, plan.ReadyLimit)
	}
	for _, exp := range p.Until {
		add("wait", "until %s, for %s at the most", detect.WaitFor(exp), plan.EffectiveLimit)
	}
	for _, probe := range s.ProbesOf(v.ID) {
		count := fmt.Sprintf("%d attempts", plan.Attempts(v, probe, p.Phase, 0))
		if probe.Background {
			count = "meanwhile"
		}
		add("sample", "%s from %s: %s, one every %s; %s", probe.ID, probe.From, count, probe.Every, useText(probe.Use))
	}
	switch {
	case p.Symptom:
		add("expect", "%s of the attempts of %s %s", v.Symptom.Bound(), v.Symptom.Probe, v.Symptom.Attempt)
	case p.Kind == "baseline" || p.Kind == "restored":
		add("expect", "healthy probes")
	default:
		add("expect", "no attempt of %s %s", v.Symptom.Probe, v.Symptom.Attempt)
	}
	for _, exp := range p.Proof {
		add("expect", "%s", detect.WaitFor(exp))
	}
	byFires := map[bool][]string{}
	for _, d := range plan.Detectors(s, v, func(string) bool { return true }) {
		id := d.ID
		if len(d.Needs) > 0 {
			id += " (where there is " + strings.Join(d.Needs, ", ") + ")"
		}
		if fires := plan.Fires(d, p); fires != nil {
			byFires[*fires] = append(byFires[*fires], id)
		}
	}
	if list := byFires[true]; len(list) > 0 {
		add("expect", "that these fire: %s; for %s at the most", strings.Join(list, ", "), plan.DetectLimit)
	}
	if list := byFires[false]; len(list) > 0 {
		add("expect", "that these are quiet: %s", strings.Join(list, ", "))
	}
	if p.Captures {
		add("keep", "the packets of the pod that probes with %s", v.Symptom.Probe)
	}
	for _, c := range s.Evidence {
		if p.Collects {
			add("keep", "what %s prints on %s", strings.Join(c.Run, " "), c.On)
		}
	}
	if p.Kind == "baseline" {
		add("keep", "fingerprints of the lab and the machine")
	}
	if p.Kind == "restored" {
		add("expect", "the same fingerprints")
	}
	return lines
}

func stepText(step scenario.Step) string {
	text := useText(step.Use) + " on " + step.On
	if step.ID != step.Use.Name {
		text = step.ID + ": " + text
	}
	return text
}

// useText is a name of the catalogue with its settings as a file would give them, in one line.
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

// plain takes out what a file would leave out, and the quotes that YAML does not need.
func plain(n *yaml.Node) {
	n.Style = yaml.FlowStyle
	if n.Kind == yaml.ScalarNode {
		n.Style = 0
	}
	if n.Kind == yaml.MappingNode {
		var kept []*yaml.Node
		for i := 0; i+1 < len(n.Content); i += 2 {
			value := n.Content[i+1]
			unset := value.Kind == yaml.ScalarNode && slices.Contains([]string{"", "0", "0s", "false", "null"}, value.Value)
			if !unset {
				kept = append(kept, n.Content[i], value)
			}
		}
		n.Content = kept
	}
	for _, child := range n.Content {
		plain(child)
	}
}
