package session_test

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/cmd/relapse/catalogue"
	"github.com/relapse-k8s/relapse/cmd/relapse/session"
	"github.com/relapse-k8s/relapse/harness/agree"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// recorded reads a run of tcp-invalid-rst-service in the lab, with kube-proxy in a mode: iptables mode repairs the failure.
func recorded(t *testing.T, proxy string) agree.JudgedRun {
	t.Helper()
	side, err := session.ReadJudged("../cli/testdata/agree/"+proxy, catalogue.All())
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return side
}

// phase finds a phase of the only variant.
func phase(s *agree.JudgedRun, name string) *judge.Phase {
	for i := range s.Verdict.Variants[0].Phases {
		if p := &s.Verdict.Variants[0].Phases[i]; p.Name == name {
			return p
		}
	}
	panic(name)
}

func claim(s *agree.JudgedRun, id string) *judge.Claim {
	for i := range s.Verdict.Claims {
		if s.Verdict.Claims[i].ID == id {
			return &s.Verdict.Claims[i]
		}
	}
	panic(id)
}

// fires makes a detector say something in a phase.
func fires(s *agree.JudgedRun, in, id string, fired bool) {
	p := phase(s, in)
	d := p.Detectors[id]
	d.Fired = fired
	p.Detectors[id] = d
}

func compare(t *testing.T, a, b agree.JudgedRun) agree.Agreement {
	t.Helper()
	got, err := agree.Compare(a, b)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return got
}

// unlike lists the rows that are not the same, as text.
func unlike(a agree.Agreement) []string {
	list := []string{}
	for _, r := range a.Rows {
		if r.Result == agree.Same {
			continue
		}
		list = append(list, strings.TrimSuffix(string(r.Result)+": "+r.Subject.String()+": "+r.Why, ": "))
	}
	return list
}

func TestARunAgreesWithItself(t *testing.T) {
	g := NewWithT(t)
	for _, proxy := range []string{"nftables", "iptables"} {
		a := compare(t, recorded(t, proxy), recorded(t, proxy))
		g.Expect(a.Outcome).To(Equal(judge.Pass))
		g.Expect(a.Counts[agree.Same]).To(Equal(len(a.Rows) - a.Counts[agree.Skipped]))
		g.Expect(a.Runs[0].Name + a.Runs[1].Name).To(Equal("one runother run"))
		g.Expect(a.Notes).To(BeEmpty())
	}
}

// TestTheScenarioExpectsTwoModesToDiffer: what is repaired on one side only needs no words.
func TestTheScenarioExpectsTwoModesToDiffer(t *testing.T) {
	g := NewWithT(t)
	a := compare(t, recorded(t, "nftables"), recorded(t, "iptables"))
	const repairs = "proxy-iptables, which only lab iptables offers, repairs the failure"
	const cured = "lab iptables: proxy-iptables repairs the failure there, so that there is nothing to cure"
	g.Expect(unlike(a)).To(Equal([]string{
		"explained: default, fault: " + repairs,
		"explained: default, fault, detector invalid: " + repairs,
		"explained: default, fault, detector client-sends-resets: " + repairs,
		"explained: default, fault, detector server-is-reset: " + repairs,
		"skipped: default, remedy/drop-invalid: " + cured,
		"skipped: default, relapse/drop-invalid: " + cured,
		"skipped: default, remedy/be-liberal: " + cured,
		"skipped: default, relapse/be-liberal: " + cured,
		"skipped: default, control/input-rule: " + cured,
		"skipped: default, control/delayed: " + cured,
		"explained: claim client-resets-the-pod: it is expected so: holds without proxy-iptables (lab nftables), refuted with proxy-iptables (lab iptables)",
		"explained: claim kube-proxy-drops-invalid: it is expected so: refuted without proxy-iptables (lab nftables), holds with proxy-iptables (lab iptables)",
		"skipped: claim drop-rule-counts: lab iptables: phase remedy/drop-invalid was not run",
		"skipped: claim late-segments-are-invalid: lab iptables: phase control/delayed was not run",
		"skipped: claim liberal-is-not-invalid: lab iptables: phase remedy/be-liberal was not run",
	}))
	g.Expect(a.Outcome).To(Equal(judge.Pass))
	g.Expect(a.Reason).To(Equal("both say the same on 9 points, and the scenario explains why they differ on 6; " +
		"9 points cannot be compared: not both have an answer there"))

	// But only where each comes out as the scenario expects it.
	odd := recorded(t, "iptables")
	odd.Verdict.Claims[0].Expected = odd.Verdict.Claims[0].Result + " not"
	phase(&odd, "fault").Outcome = judge.Fail
	a = compare(t, recorded(t, "nftables"), odd)
	g.Expect(unlike(a)).To(ContainElements("unexplained: default, fault", "unexplained: claim client-resets-the-pod"))
	g.Expect(a.Outcome).To(Equal(judge.Fail))
}

// TestDisagreements: two runs in nftables mode, of which the second, on kind, is altered.
func TestDisagreements(t *testing.T) {
	for name, test := range map[string]struct {
		alter   func(*agree.JudgedRun)
		outcome judge.Outcome
		want    []string
	}{
		"nothing": {func(*agree.JudgedRun) {}, judge.Pass, []string{}},
		"symptom": {func(s *agree.JudgedRun) {
			phase(s, "fault").Symptom = &judge.Sighting{Says: judge.Absent, Trials: 60}
		}, judge.Fail, []string{"unexplained: default, fault"}},
		"a part of it": {func(s *agree.JudgedRun) {
			phase(s, "fault").Symptom = &judge.Sighting{Says: judge.Partly, Hits: 40, Trials: 60}
		}, judge.Fail, []string{"unexplained: default, fault"}},
		"no more than chance": {func(s *agree.JudgedRun) {
			phase(s, "fault").Symptom = &judge.Sighting{Says: judge.Partly, Hits: 56, Trials: 60}
		}, judge.Pass, []string{}},
		"a remedy that does not cure": {func(s *agree.JudgedRun) {
			p := phase(s, "remedy/be-liberal")
			p.Outcome, p.Symptom.Says, p.Symptom.Hits = judge.Fail, judge.Shown, 15
		}, judge.Fail, []string{"unexplained: default, remedy/be-liberal"}},
		"something else in a phase": {func(s *agree.JudgedRun) {
			p := phase(s, "control/input-rule")
			p.Outcome, p.Checks[2] = judge.Fail, judge.Check{What: "download: median at most 1s", Seen: "2 s"}
		}, judge.Fail, []string{"unexplained: default, control/input-rule: kind: download: median at most 1s: 2 s"}},
		"detector, and the phase fails for it": {func(s *agree.JudgedRun) {
			fires(s, "relapse/drop-invalid", "server-is-reset", false)
			phase(s, "relapse/drop-invalid").Outcome = judge.Fail
		}, judge.Fail, []string{"unexplained: default, relapse/drop-invalid, detector server-is-reset"}},
		"detector that cannot be asked": {func(s *agree.JudgedRun) {
			s.Scenario.Detection[2].Needs = []string{"kernel-log"}
			offer := s.Run.Offers["kernel-log"]
			offer.OK, offer.Why = false, "no /dev/kmsg"
			s.Run.Offers["kernel-log"] = offer
			for _, p := range s.Verdict.Variants[0].Phases {
				if p.Name != "baseline" {
					continue
				}
				delete(p.Detectors, "server-is-reset")
			}
		}, judge.Pass, []string{"skipped: default, baseline, detector server-is-reset: kind: it needs kernel-log, which is not offered: no /dev/kmsg"}},
		"detector that saw nothing": {func(s *agree.JudgedRun) {
			p := phase(s, "control/delayed") // where no expectation binds it
			p.Detectors["invalid"] = judge.Detected{Blind: true, Text: "conntrack was not read"}
		}, judge.Inconclusive, []string{"open: default, control/delayed, detector invalid: kind: it had nothing to see: conntrack was not read"}},
		"detector that wavered, and nothing is expected of it": {func(s *agree.JudgedRun) {
			d := phase(s, "control/delayed").Detectors["invalid"]
			d.Fired, d.Wavers, d.Text = !d.Fired, true, "used is 0.95"
			phase(s, "control/delayed").Detectors["invalid"] = d
		}, judge.Pass, []string{
			"skipped: default, control/delayed, detector invalid: kind: it would have fired at some of its readings and not at others: used is 0.95",
		}},
		"detector that wavered where it is expected to fire": {func(s *agree.JudgedRun) {
			d := phase(s, "fault").Detectors["invalid"]
			d.Fired, d.Wavers = false, true
			phase(s, "fault").Detectors["invalid"] = d
		}, judge.Fail, []string{"unexplained: default, fault, detector invalid"}},
		"claim": {func(s *agree.JudgedRun) {
			claim(s, "insert-failed-shows-it").Result = judge.Holds
		}, judge.Fail, []string{"unexplained: claim insert-failed-shows-it"}},
		"claim that was not tested": {func(s *agree.JudgedRun) {
			c := claim(s, "insert-failed-shows-it")
			c.Result, c.Seen = judge.Untested, "nothing to see"
		}, judge.Pass, []string{"skipped: claim insert-failed-shows-it: kind: nothing to see"}},
		"inconclusive phase": {func(s *agree.JudgedRun) {
			p := phase(s, "control/delayed")
			p.Outcome, p.Checks[0] = judge.Inconclusive, judge.Check{What: "the phase runs to its end", Seen: "it never ended"}
			s.Verdict.Outcome, s.Verdict.Variants[0].Outcome = judge.Inconclusive, judge.Inconclusive
			c := claim(s, "late-segments-are-invalid")
			c.Result, c.Seen = judge.Untested, "phase control/delayed is inconclusive"
		}, judge.Inconclusive, []string{
			"open: default, control/delayed: kind: the phase runs to its end: it never ended",
			"open: claim late-segments-are-invalid: kind: phase control/delayed is inconclusive",
		}},
		"skipped": {func(s *agree.JudgedRun) {
			s.Verdict.Variants[0] = judge.Variant{Name: "default", Outcome: judge.Skipped, Reason: "no NFQUEUE"}
			s.Verdict.Outcome = judge.Skipped
			for i := range s.Verdict.Claims {
				s.Verdict.Claims[i].Result, s.Verdict.Claims[i].Seen = judge.Untested, "variant default was not run"
			}
			s.Verdict.Claims = s.Verdict.Claims[:1]
			s.Scenario.Claims = s.Scenario.Claims[:1]
		}, judge.Skipped, []string{"skipped: default: kind: no NFQUEUE", "skipped: claim client-resets-the-pod: kind: variant default was not run"}},
		"a crash of the judge": {func(s *agree.JudgedRun) {
			s.Verdict = judge.Verdict{Outcome: judge.Inconclusive, Reason: "the judge crashed: oh"}
			s.Scenario.Claims = nil
		}, judge.Inconclusive, []string{"open: default: kind: the judge crashed: oh", "open: : kind: the judge crashed: oh"}},
		"the machine afterwards": {func(s *agree.JudgedRun) {
			s.Verdict.Outcome, s.Verdict.Reason = judge.Fail, "the host is not as before"
		}, judge.Fail, []string{"unexplained: : kind: the host is not as before"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			lab, kind := recorded(t, "nftables"), recorded(t, "nftables")
			kind.Run.Cluster = "kind"
			test.alter(&kind)
			lab.Scenario.Claims, lab.Verdict.Claims = lab.Scenario.Claims[:len(kind.Scenario.Claims)], lab.Verdict.Claims[:len(kind.Scenario.Claims)]
			a := compare(t, lab, kind)
			g.Expect(unlike(a)).To(Equal(test.want))
			g.Expect(a.Outcome).To(Equal(test.outcome), a.Reason)

			// The order of the two does not matter.
			back := compare(t, kind, lab)
			g.Expect(unlike(back)).To(Equal(test.want))
			g.Expect(back.Outcome).To(Equal(test.outcome))
		})
	}
}

// TestExplanations: the scenario explains a detector of a near miss, which no expectation binds.
func TestExplanations(t *testing.T) {
	in := scenario.Subject{Variant: "default", Phase: "control/delayed", Detector: "invalid"}
	entry := func(lab, kind string) scenario.Difference {
		return scenario.Difference{Subject: in, Why: "Kind's pods do it too.", On: []scenario.Side{
			{Cluster: "lab", Says: lab}, {Cluster: "kind", Proxy: "nftables", Says: kind}, {Cluster: "kind", Proxy: "none", Says: "quiet"},
		}}
	}
	for name, test := range map[string]struct {
		fired   bool
		entry   scenario.Difference
		proxy   string
		outcome judge.Outcome
		want    string
	}{
		"explained":   {true, entry("quiet", "fired"), "nftables", judge.Pass, "explained: " + in.String() + ": Kind's pods do it too."},
		"unexplained": {true, scenario.Difference{}, "nftables", judge.Fail, "unexplained: " + in.String()},
		"not there": {false, entry("quiet", "fired"), "nftables", judge.Fail, "unexplained: " + in.String() +
			": the scenario explains something else (quiet on lab, fired on kind, nftables): Kind's pods do it too."},
		"the other way": {true, entry("fired", "quiet"), "nftables", judge.Fail, "unexplained: " + in.String() +
			": the scenario explains something else (fired on lab, quiet on kind, nftables): Kind's pods do it too."},
		"for other clusters":  {true, entry("quiet", "fired"), "iptables", judge.Fail, "unexplained: " + in.String()},
		"no difference there": {false, entry("quiet", "fired"), "none", judge.Pass, ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			lab, kind := recorded(t, "nftables"), recorded(t, "nftables")
			kind.Run.Cluster, kind.Run.Proxy = "kind", test.proxy
			fires(&kind, in.Phase, in.Detector, test.fired)
			kind.Scenario.Differences = []scenario.Difference{test.entry}
			a := compare(t, lab, kind)
			g.Expect(strings.Join(unlike(a), "\n")).To(Equal(test.want))
			g.Expect(a.Outcome).To(Equal(test.outcome), a.Reason)
		})
	}
}

// TestAnExplanationGoesBeforeWhatIsExpected, so that it can be said in better words.
func TestAnExplanationGoesBeforeWhatIsExpected(t *testing.T) {
	g := NewWithT(t)
	a, b := recorded(t, "nftables"), recorded(t, "iptables")
	b.Scenario.Differences = []scenario.Difference{
		{Subject: scenario.Subject{Variant: "default", Phase: "fault"}, Why: "It drops them.", On: []scenario.Side{{Proxy: "nftables", Says: "shown"}, {Proxy: "iptables", Says: "absent"}}},
		{Subject: scenario.Subject{Claim: "drop-rule-counts"}, Why: "Not asked.", On: []scenario.Side{{Proxy: "nftables", Says: "holds"}, {Proxy: "iptables", Says: "refuted"}}},
	}
	got := compare(t, a, b)
	g.Expect(unlike(got)).To(ContainElement("explained: default, fault: It drops them."))
	g.Expect(got.Counts[agree.Unexplained]).To(BeZero(), "nobody knows of a claim that was not tested")
	g.Expect(got.Outcome).To(Equal(judge.Pass))
}

func TestWhatCannotBeCompared(t *testing.T) {
	g := NewWithT(t)
	a, b := recorded(t, "nftables"), recorded(t, "iptables")
	b.Scenario.Metadata.ID = "other"
	_, err := agree.Compare(a, b)
	g.Expect(err).To(MatchError("../cli/testdata/agree/nftables is a run of tcp-invalid-rst-service, and ../cli/testdata/agree/iptables one of other: only runs of one scenario can be compared"))

	b = recorded(t, "iptables")
	b.Scenario.Remedies[1].ID = "be-more-liberal"
	_, err = agree.Compare(a, b)
	g.Expect(err).To(MatchError("they ran different versions of tcp-invalid-rst-service, which cannot be compared: " +
		"default, remedy/be-liberal is in ../cli/testdata/agree/nftables and not in ../cli/testdata/agree/iptables"))

	b = recorded(t, "iptables")
	b.Scenario.Variants[0].ID = "other"
	_, err = agree.Compare(a, b)
	g.Expect(err).To(MatchError(ContainSubstring("default, baseline is in ")))
}

func TestWhatToKnowBefore(t *testing.T) {
	g := NewWithT(t)
	old, recent := recorded(t, "nftables"), recorded(t, "iptables")
	recent.Run.Digest, recent.Run.Versions["kernel"] = "sha256:1", "7.0"
	in := scenario.Subject{Claim: "insert-failed-shows-it"}
	recent.Scenario.Differences = []scenario.Difference{{Subject: in, On: []scenario.Side{{Proxy: "nftables", Says: "holds"}, {Proxy: "iptables", Says: "refuted"}}}}
	notes := []string{
		"The two ran different versions of the scenario's file. The differences that count are those of the later run, lab iptables.",
		"They ran on different kernels: 6.18 (lab nftables) and 7.0 (lab iptables).",
	}
	a := compare(t, old, recent)
	g.Expect(a.Notes).To(Equal(notes))
	g.Expect(a.Counts[agree.Unexplained]).To(Equal(1))
	a = compare(t, recent, old)
	g.Expect(a.Notes[0]).To(Equal(notes[0]))
	g.Expect(a.Counts[agree.Unexplained]).To(Equal(1), "the later one's, whichever is named first")

	// A detector that only one version has is no disagreement.
	recent.Scenario.Detection = append(recent.Scenario.Detection, scenario.Detector{ID: "new"})
	a = compare(t, old, recent)
	g.Expect(unlike(a)).To(ContainElement("skipped: default, baseline, detector new: lab nftables: it is not in this version of the scenario; lab iptables: it was not asked"))
}
