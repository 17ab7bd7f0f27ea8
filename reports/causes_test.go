package reports

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// TestOneCauseIsToldOnce: every lane ended of one cause, and every check of every phase repeats it.
func TestOneCauseIsToldOnce(t *testing.T) {
	g := NewWithT(t)
	lanes := []string{"default/a", "default/a-longer", "default/b"}
	var d Data
	phase := judge.Phase{Name: "baseline", Outcome: judge.Inconclusive}
	for i, lane := range lanes {
		text := "lab " + lane + ": node/node-" + string(rune('1'+i)) + ": kube-proxy: no such program"
		d.Events = append(d.Events, history.Event{Kind: history.KindError, Lane: lane, Text: text})
		phase.Checks = append(phase.Checks,
			judge.Check{What: "the phase runs to its end", Seen: text, Lane: lane},
			judge.Check{What: "lookup: at most 0% fail", Seen: "5 of 10 failed", Lane: lane})
	}
	fault := judge.Phase{Name: "fault", Outcome: judge.Inconclusive, Checks: phase.Checks[:1]}
	d.Events = append(d.Events, history.Event{Kind: history.KindError, Lane: lanes[0], Text: "another error"})
	d.Verdict = judge.Verdict{
		Outcome: judge.Inconclusive, Reason: "the run broke down: " + d.Events[0].Text,
		Variants: []judge.Variant{{Name: "default", Outcome: judge.Inconclusive, Phases: []judge.Phase{phase, fault}}},
	}
	d.Verdict.Claims = []judge.Claim{
		{Says: "One.", Seen: "phase fault is inconclusive: " + d.Events[1].Text}, {Says: "Two.", Seen: "drop was not read"}, {Says: "Three.", Seen: "drop was not read"},
	}
	var out strings.Builder
	g.Expect(Terminal(&out, d, 200, false)).To(Succeed())
	g.Expect(out.String()).To(And(ContainSubstring("One.\n"), ContainSubstring("Two. (drop was not read)\n"), ContainSubstring("Three.\n")))
	g.Expect(strings.Count(out.String(), "no such program")).To(Equal(1), out.String())
	g.Expect(out.String()).To(And(
		ContainSubstring("  ! alike 2 times more\n"), ContainSubstring("  ! default/a: another error\n"),
		ContainSubstring("✗ default/a: lookup: at most 0% fail: 5 of 10 failed (and alike 2 times more)\n"),
		ContainSubstring("✗ because of the error above\n"),
	))
	g.Expect(d.problems()).To(HaveExactElements("default/a: "+d.Events[0].Text+" (and alike 2 times more)", "default/a: another error"))
	g.Expect(d.failures(d.variants()[0])).To(HaveLen(1))

	phase.Checks[1].Seen, phase.Checks[1].What = "5 of 10 failed", "echo: at most 0% fail"
	found, repeated := d.unmet(phase)
	g.Expect(found).To(HaveLen(2), "two probes that failed alike are two things")
	g.Expect(repeated).To(Equal(3))
}

// TestWhatAVariantLacksIsShown beside the verdict.
func TestWhatAVariantLacksIsShown(t *testing.T) {
	g := NewWithT(t)
	d := dnsRun(t, false)
	i := len(d.Scenario.Variants) - 1
	d.Scenario.Variants[i].Without = scenario.Without{Control: "<i>No time.</i>", Detector: "Nobody knows one.", Remedy: "Nor that."}
	name := d.Scenario.Variants[i].ID
	var out strings.Builder
	g.Expect(Terminal(&out, d, 80, false)).To(Succeed())
	g.Expect(out.String()).To(And(ContainSubstring("  There is no control: <i>No time.</i>\n"), ContainSubstring("  No detector must fire: Nobody knows one.\n"), ContainSubstring("  There is no remedy: Nor that.\n")))
	html, err := HTML(d)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(html)).To(ContainSubstring(`<p class="reason">Variant ` + name + `: There is no control: &lt;i&gt;No time.&lt;/i&gt;</p>`))
}
