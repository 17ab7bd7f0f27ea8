package reports

import (
	stdbytes "bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jstemmer/go-junit-report/v2/junit"

	"github.com/relapse-k8s/relapse/harness/judge"
)

// JUnit makes the XML that continuous integration reads: a suite for each variant with a case for each phase and each claim,
// and a suite "run" for what belongs to none. A run that is not a pass always has a red case.
func JUnit(d Data) ([]byte, error) { return writeJUnit(d.junit()) }

func (d Data) junit() junit.Testsuites {
	all := junit.Testsuites{Name: "relapse " + clean(d.Run.Scenario), Time: junitTime(d.duration())}
	variants := d.variants()
	for _, v := range variants {
		all.AddSuite(d.suite(v, variants))
	}
	if run := d.runSuite(variants, all.Failures+all.Errors > 0); run.Tests > 0 {
		all.AddSuite(run)
	}
	return all
}

func writeJUnit(all junit.Testsuites) ([]byte, error) {
	for i := range all.Suites {
		all.Suites[i].ID = i
	}
	var out stdbytes.Buffer
	out.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\n")
	if err := all.WriteXML(&out); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func (d Data) newSuite(name string, seconds float64) junit.Testsuite {
	s := junit.Testsuite{Name: clean("relapse." + d.Run.Scenario + "." + name), Hostname: clean(d.Run.Cluster), Time: junitTime(seconds)}
	if t, err := time.Parse(time.RFC3339Nano, d.Run.Start); err == nil {
		s.SetTimestamp(t.UTC())
	}
	for _, p := range []pair{
		{"scenario", d.Run.Scenario, ""}, {"digest", d.Run.Digest, ""}, {"cluster", d.Run.Cluster, ""}, {"proxy", d.Run.Proxy, ""},
		{"run", d.Run.ID, ""}, {"seed", strconv.FormatUint(d.Run.Seed, 10), ""},
	} {
		s.AddProperty(p.Name, clean(p.Value))
	}
	for _, name := range sortedKeys(d.Run.Versions) {
		s.AddProperty(clean("version."+name), clean(d.Run.Versions[name]))
	}
	return s
}

func (d Data) suite(v variant, all []variant) junit.Testsuite {
	s := d.newSuite(v.Name, v.took())
	s.AddProperty("mechanism", clean(v.Spec.Mechanism))
	s.AddProperty("outcome", string(v.outcome()))
	if r := v.Verdict.Reproduction; r.Trials > 0 {
		s.AddProperty("reproduction", rate(r)+", "+interval(r))
	}
	for _, p := range v.Verdict.Phases {
		c := junit.Testcase{Name: clean(p.Name), Classname: s.Name, Time: junitTime(v.phaseTook(p.Name))}
		mark(&c, p.Outcome, failedChecks(p))
		s.AddTestcase(c)
	}
	for _, claim := range d.Verdict.Claims {
		if d.claimVariant(claim.ID, all) == v.Name {
			s.AddTestcase(claimCase(s.Name, claim))
		}
	}
	if s.Tests == 0 || (s.Failures+s.Errors == 0 && (v.outcome() == judge.Fail || v.outcome() == judge.Inconclusive)) {
		// Set-up died, or what is wrong belongs to no phase: without a case of its own the suite would look green or empty.
		c := junit.Testcase{Name: "variant " + clean(v.Name), Classname: s.Name}
		mark(&c, v.outcome(), v.reason())
		s.AddTestcase(c)
	}
	return s
}

// runSuite holds what belongs to no variant. Red is whether any variant has a red case already.
func (d Data) runSuite(variants []variant, red bool) junit.Testsuite {
	s := d.newSuite("run", d.duration())
	if !d.Crashed && d.Verdict.Outcome != judge.Skipped {
		c := junit.Testcase{Name: "restored: host and cluster are as before", Classname: s.Name}
		if !d.Verdict.Restored.Clean {
			c.Failure = &junit.Result{Message: "not as before", Type: "restored", Data: clean(strings.Join(d.Verdict.Restored.Differences, "\n"))}
			red = true
		}
		s.AddTestcase(c)
	}
	if a := d.Agreement; a != nil {
		c := junit.Testcase{Name: clean("agrees with " + a.Runs[1].Name), Classname: s.Name}
		mark(&c, a.Outcome, a.Reason+agreementText(*a))
		s.AddTestcase(c)
	}
	bad := d.Verdict.Outcome != judge.Pass && d.Verdict.Outcome != judge.Skipped
	if d.Crashed || len(variants) == 0 || (bad && !red) {
		c := junit.Testcase{Name: "run", Classname: s.Name}
		if bad {
			detail := strings.Join(d.problems(), "\n")
			c.Failure = &junit.Result{Message: clean(cmp.Or(d.Verdict.Reason, "no verdict")), Type: "run", Data: clean(detail)}
		} else {
			mark(&c, d.Verdict.Outcome, d.Verdict.Reason)
		}
		s.AddTestcase(c)
	}
	return s
}

// mark writes an outcome into a case: an inconclusive one is an error, so that nobody takes it for a pass.
func mark(c *junit.Testcase, o judge.Outcome, text string) {
	result := &junit.Result{Message: clean(firstLine(text)), Type: string(o), Data: clean(text)}
	switch o {
	case judge.Pass:
	case judge.Skipped:
		c.Skipped = result
	case judge.Fail:
		c.Failure = result
	default:
		c.Error = result
	}
}

func failedChecks(p judge.Phase) string {
	var lines []string
	for _, c := range p.Checks {
		if !c.OK {
			lines = append(lines, strings.TrimPrefix(fmt.Sprintf("%s: %s: seen %s", c.Lane, c.What, c.Seen), ": "))
		}
	}
	if len(lines) == 0 {
		return string(p.Outcome)
	}
	return strings.Join(lines, "\n")
}

func claimCase(class string, claim judge.Claim) junit.Testcase {
	c := junit.Testcase{Name: "claim " + clean(claim.ID), Classname: class}
	text := claim.Says + "\nexpected " + claim.Expected + ", result " + claim.Result + "\nseen: " + claim.Seen
	switch ClaimBadge(claim.Expected, claim.Result).Class {
	case "skipped":
		c.Skipped = &junit.Result{Message: "untested", Data: clean(text)}
	case "fail":
		c.Failure = &junit.Result{Message: clean("expected " + claim.Expected + ", result " + claim.Result), Type: "claim", Data: clean(text)}
	default:
		c.SystemOut = &junit.Output{Data: clean(text)}
	}
	return c
}

// claimVariant is the variant that a claim is tested in, or the first where the scenario does not tell.
func (d Data) claimVariant(id string, all []variant) string {
	for _, c := range d.scenario().Claims {
		if c.ID == id && slices.ContainsFunc(all, func(v variant) bool { return v.Name == c.Check.Variant }) {
			return c.Check.Variant
		}
	}
	if len(all) == 0 {
		return ""
	}
	return all[0].Name
}

// took is how long the longest lane of the variant was.
func (v variant) took() float64 {
	longest := 0.0
	for _, l := range v.Lanes {
		longest = max(longest, l.Phases[len(l.Phases)-1].End)
	}
	return longest
}

func (v variant) phaseTook(name string) float64 {
	longest := 0.0
	for _, l := range v.Lanes {
		for _, p := range l.Phases {
			if p.Name == name {
				longest = max(longest, p.End-p.Begin)
			}
		}
	}
	return longest
}

func junitTime(seconds float64) string { return strconv.FormatFloat(seconds, 'f', 3, 64) }

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// clean replaces characters that XML forbids: the library writes CDATA as it is given.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || r == '\n' || (r >= 0x20 && r <= 0xD7FF) || (r >= 0xE000 && r <= 0xFFFD) || r >= 0x10000 {
			return r
		}
		return '\uFFFD'
	}, s)
}
