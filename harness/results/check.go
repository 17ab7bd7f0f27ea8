package results

import (
	"errors"
	"fmt"
	"slices"

	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/regular"
)

// Limits of numbers, far beyond what runs have: sums of them stay sums.
const (
	maxCount   = 1_000_000_000
	maxSeconds = 1e9
)

// check refuses a result that no run has.
func (r *Result) check() error {
	switch {
	case r.Format < 1:
		return errors.New("format is missing")
	case r.Run == "":
		return errors.New("run is missing")
	case r.Scenario == "":
		return errors.New("scenario is missing")
	case r.Start.Year() < 1970 || r.Start.Year() > 9999:
		return fmt.Errorf("start: %d is not a year of runs", r.Start.Year())
	case r.Revision < 0 || r.Revision > maxCount:
		return fmt.Errorf("revision: %d", r.Revision)
	}
	if err := errors.Join(outcome("outcome", r.Outcome), seconds("took_s", r.Took), r.Reproduction.check()); err != nil {
		return err
	}
	names := len(r.Phases) + len(r.Claims) + len(r.Versions)
	for i := range r.Phases {
		p := &r.Phases[i]
		names += len(p.Probes) + len(p.Detectors)
		if err := p.check(); err != nil {
			return fmt.Errorf("phase %s: %w", p.Name, err)
		}
	}
	for _, c := range r.Claims {
		if c.Result != judge.Holds && c.Result != judge.Refuted && c.Result != judge.Untested {
			return fmt.Errorf("claim %s: result: %q is none", c.ID, c.Result)
		}
	}
	if names > regular.MaxNames {
		return fmt.Errorf("it has more than %d phases, probes, detectors, claims and versions", regular.MaxNames)
	}
	return nil
}

func (p *Phase) check() error {
	if p.Name == "" {
		return errors.New("name is missing")
	}
	errs := []error{outcome("outcome", p.Outcome), seconds("took_s", p.Took)}
	if p.Recovery != nil {
		errs = append(errs, seconds("recovery_s", *p.Recovery))
	}
	if s := p.Symptom; s != nil {
		errs = append(errs, count("symptom", s.Hits, s.Trials, s.Failed, s.Missed))
		if s.Hits > s.Trials {
			errs = append(errs, fmt.Errorf("symptom: %d hits in %d trials", s.Hits, s.Trials))
		}
	}
	for id, s := range p.Probes {
		errs = append(errs, count("probe "+id, s.Count, s.Failed), seconds("probe "+id, s.P50, s.P99, s.Max))
		if s.Failed > s.Count {
			errs = append(errs, fmt.Errorf("probe %s: %d of %d failed", id, s.Failed, s.Count))
		}
	}
	for id, d := range p.Detectors {
		if !slices.Contains([]string{Fired, Quiet, Blind}, d.Says) || !slices.Contains([]string{"", Fired, Quiet}, d.Expected) {
			errs = append(errs, fmt.Errorf("detector %s says %q where %q is expected: no detector does", id, d.Says, d.Expected))
		}
		if d.After != nil {
			errs = append(errs, seconds("detector "+id, *d.After))
		}
	}
	return errors.Join(errs...)
}

func (r Reproduction) check() error {
	if err := count("reproduction", r.Hits, r.Trials, r.Attempts); err != nil {
		return err
	}
	if r.Hits > r.Trials || r.Trials > r.Attempts {
		return fmt.Errorf("reproduction: %d hits in %d trials of %d attempts", r.Hits, r.Trials, r.Attempts)
	}
	return nil
}

func outcome(what string, o judge.Outcome) error {
	if slices.Contains([]judge.Outcome{judge.Pass, judge.Fail, judge.Inconclusive, judge.Skipped}, o) {
		return nil
	}
	return fmt.Errorf("%s: %q is none", what, o)
}

func count(what string, numbers ...int) error {
	for _, n := range numbers {
		if n < 0 || n > maxCount {
			return fmt.Errorf("%s: %d is no count", what, n)
		}
	}
	return nil
}

func seconds(what string, numbers ...float64) error {
	for _, s := range numbers {
		if !(s >= 0 && s <= maxSeconds) {
			return fmt.Errorf("%s: %g is no time in seconds", what, s)
		}
	}
	return nil
}
