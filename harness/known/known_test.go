package known

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

const good = `
- scenario: dns-5s
  variant: forced
  what: latency/*
  environment: kind/*
  why: the runners of kind are slow
  until: 2027-01-31
- {scenario: hairpin-off, variant: default, what: outcome, why: kernel 7 repairs it, until: "2026-11-30"}
`

func at(t *testing.T, text string) time.Time {
	t.Helper()
	when, err := time.Parse(time.RFC3339, text)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return when
}

func TestAnEntryExplainsUntilItsLastDayIsOver(t *testing.T) {
	g := NewWithT(t)
	list, err := Parse("known.yaml", []byte(good))
	g.Expect(err).NotTo(HaveOccurred())
	last, after := at(t, "2026-11-30T23:59:59Z"), at(t, "2026-12-01T00:00:00Z")

	d, found := list.Find("hairpin-off", "default", "anywhere", "outcome", last)
	g.Expect(found).To(BeTrue())
	g.Expect(d.Why).To(Equal("kernel 7 repairs it"))
	g.Expect(list.Expired(last)).To(BeEmpty())
	_, found = list.Find("hairpin-off", "default", "anywhere", "outcome", after)
	g.Expect(found).To(BeFalse())
	g.Expect(list.Expired(after)).To(HaveLen(1))
	g.Expect(list.Expired(after)[0].Line).To(Equal(8))
}

func TestAnEntryExplainsNothingElse(t *testing.T) {
	g := NewWithT(t)
	list, err := Parse("known.yaml", []byte(good))
	g.Expect(err).NotTo(HaveOccurred())
	now := at(t, "2026-11-01T00:00:00Z")
	for _, c := range []struct {
		scenario, variant, environment, what string
		explained                            bool
	}{
		{"dns-5s", "forced", "kind/calico/iptables", "latency/fault", true},
		{"dns-5s", "native", "kind/calico/iptables", "latency/fault", false},
		{"dns-5s", "forced", "lab", "latency/fault", false},
		{"dns-5s", "forced", "kind/calico/iptables", "latency", false},
		{"dns-5s", "forced", "kind/calico/iptables", "outcome", false},
		{"dns-6s", "forced", "kind/calico/iptables", "latency/fault", false},
	} {
		_, found := list.Find(c.scenario, c.variant, c.environment, c.what, now)
		g.Expect(found).To(Equal(c.explained), "%+v", c)
	}
}

func TestWhatIsWrongIsNamedWithItsLine(t *testing.T) {
	for text, want := range map[string]string{
		"- {scenario: a, variant: b, what: c, why: d}":                                "known.yaml:1: until is missing",
		"\n- {variant: b, what: c, until: 2027-01-01}":                                "known.yaml:2: scenario is missing\nknown.yaml:2: why is missing",
		"- {scenario: a, variant: b, what: c, why: d, until: soon}":                   `known.yaml: line 1: until: "soon" is no date`,
		"- {scenario: a, variant: b, what: c, why: d, until: 2027-02-31}":             "is no date",
		"- {scenario: a, variant: b, what: c, why: d, until: 2027-02-01, expires: x}": "expires",
		"scenario: a":                          "a list of known differences is wanted",
		"[]\n---\n[]":                          "a second document",
		"- &a {scenario: x}\n- *a\n- [1, 2, 3": "known.yaml",
	} {
		t.Run(text, func(t *testing.T) {
			g := NewWithT(t)
			list, err := Parse("known.yaml", []byte(text))
			g.Expect(err).To(MatchError(ContainSubstring(want)))
			g.Expect(list).To(BeNil())
		})
	}
}

func TestAnEmptyFileKnowsNothing(t *testing.T) {
	g := NewWithT(t)
	for _, text := range []string{"", "# nothing yet\n", "[]"} {
		list, err := Parse("known.yaml", []byte(text))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(list).To(BeEmpty())
	}
}
