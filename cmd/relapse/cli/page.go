package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/relapse-k8s/relapse/reports"
)

// page writes wrapped text. What a file of a stranger says cannot move the cursor of a terminal, nor do more.
type page struct {
	w     io.Writer
	width int
}

func (p *page) heading(text string) {
	fmt.Fprintf(p.w, "\n%s\n", strings.ToUpper(reports.Printable(text)))
}

// text writes a paragraph after a lead. Its other lines are indented by the width of the lead.
func (p *page) text(lead, text string) {
	lead = reports.Printable(lead)
	line, empty := lead, true
	for _, word := range strings.Fields(reports.Printable(text)) {
		if !empty && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > p.width {
			fmt.Fprintln(p.w, line)
			line, empty = strings.Repeat(" ", utf8.RuneCountInString(lead)), true
		}
		if !empty {
			line += " "
		}
		line, empty = line+word, false
	}
	fmt.Fprintln(p.w, strings.TrimRight(line, " "))
}

// verbatim writes a line without wrapping it, so that it can be copied.
func (p *page) verbatim(lead, text string) { fmt.Fprintln(p.w, reports.Printable(lead+text)) }

// printJSON writes indented JSON and does not escape < and >.
func printJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}
