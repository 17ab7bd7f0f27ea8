package reports

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/relapse-k8s/relapse/harness/matrix"
)

// matrixPage is what the template of the matrix shows.
type matrixPage struct {
	Frame

	Outcome Badge
	Title   string
	// Failures are the columns, as number, scenario and variant.
	Failures []matrixColumn
	Rows     []matrixRow
	Overlaps []matrixOverlap
}

type matrixColumn struct {
	Number                  int
	Scenario, Variant, Name string
	Repaired                bool
}

type matrixRow struct {
	Scenario, Detector, Title string
	Silent                    bool
	Cells                     []matrixCell
	Recall, Precision         string
}

// matrixCell is a detector on a failure. Symbol is empty where it is quiet on a failure of another scenario, as it should be.
type matrixCell struct{ Class, Symbol, Text, Of string }

type matrixOverlap struct{ Detector, On, Why string }

// MatrixHTML makes the page: one file that needs nothing else.
func MatrixHTML(m matrix.Matrix) ([]byte, error) {
	p := matrixPage{Frame: NewFrame()}
	p.Outcome, p.Title = matrixOutcome(m)
	for i, name := range m.Failures {
		scenario, variant, _ := strings.Cut(name, "/")
		p.Failures = append(p.Failures, matrixColumn{i + 1, scenario, variant, name, slices.Contains(m.Repaired, name)})
	}
	for _, r := range m.Rows {
		scenario, detector, _ := strings.Cut(r.Detector, "/")
		row := matrixRow{Scenario: scenario, Detector: detector, Title: r.Title, Silent: r.Silent, Recall: percentOf(r.Recall), Precision: percentOf(r.Precision)}
		for _, name := range m.Failures {
			row.Cells = append(row.Cells, cellOf(r, name))
		}
		p.Rows = append(p.Rows, row)
		for _, hit := range r.Others {
			p.Overlaps = append(p.Overlaps, matrixOverlap{r.Detector, hit.Failure, hit.Why})
		}
	}
	return render("matrix.html", p)
}

// matrixOutcome says whether each detector sees its own failures and nothing that nobody explains.
func matrixOutcome(m matrix.Matrix) (Badge, string) {
	text := fmt.Sprintf("%d detectors on %d recorded failures", len(m.Rows), len(m.Failures))
	if wrong := m.Wrong(); len(wrong) > 0 {
		return Badge{"fail", "✗", "fail"}, fmt.Sprintf("%s: %s", text, strings.Join(wrong, "; "))
	}
	return Badge{"pass", "✓", "pass"}, text + ": each sees what it must, and every overlap is explained"
}

func cellOf(r matrix.Row, failure string) matrixCell {
	for _, hit := range r.Own {
		if hit.Failure != failure {
			continue
		}
		switch {
		case hit.Fired && hit.Must:
			return matrixCell{"pass", "✓", "fires: " + hit.Text, failure}
		case hit.Fired:
			return matrixCell{"fail", "!", "fires and should not: " + hit.Text, failure}
		case hit.Must:
			return matrixCell{"fail", "✗", "does not fire: " + hit.Text, failure}
		}
		return matrixCell{"none", "–", "quiet, as expected: " + hit.Text, failure}
	}
	for _, hit := range r.Others {
		if hit.Failure == failure {
			if hit.Why == "" {
				return matrixCell{"fail", "!", "fires, and nobody says why: " + hit.Text, failure}
			}
			return matrixCell{"skipped", "+", "fires too: " + hit.Why, failure}
		}
	}
	return matrixCell{Of: failure}
}

func percentOf(share *float64) string {
	if share == nil {
		return "–"
	}
	return fmt.Sprintf("%.0f%%", 100**share)
}

// MatrixTerminal writes the matrix for a terminal: a line for each detector, and below it the failures of others on which it fires.
func MatrixTerminal(w io.Writer, m matrix.Matrix, width int, color bool) error {
	t := newTerminal(width, color)
	name := len("detector")
	for _, r := range m.Rows {
		name = max(name, utf8.RuneCountInString(r.Detector))
	}
	t.line(fmt.Sprintf("%-*s  recall  precision", name, "detector"))
	for _, r := range m.Rows {
		var others []string
		for _, hit := range r.Others {
			others = append(others, hit.Failure)
		}
		t.line(fmt.Sprintf("%-*s  %6s  %9s", name, r.Detector, percentOf(r.Recall), percentOf(r.Precision)))
		if r.Silent {
			t.wrap("    ", "documented, and known not to see it", nil)
		}
		if len(others) > 0 {
			t.wrap("    also fires on ", strings.Join(others, ", "), nil)
		}
	}
	t.line("")
	outcome, title := matrixOutcome(m)
	word := outcome.Symbol + " " + strings.ToUpper(outcome.Word)
	t.wrap(word+"  ", title, t.mark(word, outcome.Class))
	_, err := io.WriteString(w, t.out.String())
	return err
}
