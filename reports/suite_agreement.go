package reports

import (
	"slices"

	"github.com/relapse-k8s/relapse/harness/agree"
)

// suiteAgreement says of each scenario whether its run agrees with another, and on what it does not.
type suiteAgreement struct {
	With   string
	Rows   []suiteAgreementRow
	Points []suitePoint
}

type suiteAgreementRow struct {
	Scenario, Report                           string
	Outcome                                    Badge
	Reason                                     string
	Alike, Explained, Differ, Open, Uncompared int
}

// suitePoint is something on which two runs are not alike.
type suitePoint struct {
	Scenario, Report string
	agreementLine
}

func (s Suite) agreement() *suiteAgreement {
	if s.AgreeWith == "" {
		return nil
	}
	all := &suiteAgreement{With: s.AgreeWith}
	for _, r := range s.Scenarios {
		row := suiteAgreementRow{Scenario: r.Scenario, Report: href(r.report()), Outcome: Badge{"skipped", "–", "No run to compare with"}}
		if a := r.Agreement; a != nil {
			row.Outcome, row.Reason = agreementBadge(a.Outcome), a.Reason
			row.Alike, row.Explained, row.Differ = a.Counts[agree.Same], a.Counts[agree.Explained], a.Counts[agree.Unexplained]
			row.Open, row.Uncompared = a.Counts[agree.Open], a.Counts[agree.Skipped]
			for _, line := range telling(*a) {
				all.Points = append(all.Points, suitePoint{r.Scenario, row.Report, line})
			}
		}
		all.Rows = append(all.Rows, row)
	}
	slices.SortStableFunc(all.Points, func(a, b suitePoint) int { return byRank(a.agreementLine, b.agreementLine) })
	return all
}
