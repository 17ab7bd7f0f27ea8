package reports

import (
	"encoding/base64"
	"html/template"
	"net/url"
	"slices"
	"strings"

	"github.com/relapse-k8s/relapse/harness/rundir"
)

// evidenceSection is what the run kept.
type evidenceSection struct {
	Commands []commandEvidence
	Files    []download
	// Others are files that the history does not tell of.
	Others []download
}

// commandEvidence is one command at one place, before and after.
type commandEvidence struct {
	Command, On, Lane string
	Outputs           []output
}

// output is what a command printed in a phase, line by line.
type output struct {
	Phase string
	Lines []outputLine
	File  template.URL
}

// outputLine is changed where the first output does not have it.
type outputLine struct {
	Text    string
	Changed bool
}

// download is a file that is offered to be saved.
type download struct {
	Name, Title, On, Lane, Phase, Size string
	Href                               template.URL
	// Inline is true where the file travels inside the report.
	Inline bool
}

func (d Data) evidence() evidenceSection {
	var s evidenceSection
	for _, f := range d.Evidence {
		if f.Title == f.Name && f.Text == "" && len(f.Raw) == 0 {
			s.Others = append(s.Others, f.download())
			continue
		}
		if f.Text == "" {
			s.Files = append(s.Files, f.download())
			continue
		}
		i := slices.IndexFunc(s.Commands, func(c commandEvidence) bool { return c.Command == f.Title && c.On == f.On && c.Lane == f.Lane })
		if i < 0 {
			i = len(s.Commands)
			s.Commands = append(s.Commands, commandEvidence{Command: f.Title, On: f.On, Lane: f.Lane})
		}
		c := &s.Commands[i]
		var before []string
		if len(c.Outputs) > 0 {
			for _, l := range c.Outputs[0].Lines {
				before = append(before, l.Text)
			}
		}
		c.Outputs = append(c.Outputs, output{Phase: f.Phase, Lines: marked(before, f.Text, len(c.Outputs) > 0), File: relative(f.Name)})
	}
	return s
}

// marked splits an output into lines and marks those that were not there before.
func marked(before []string, text string, marking bool) []outputLine {
	var lines []outputLine
	for _, l := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		lines = append(lines, outputLine{l, marking && !slices.Contains(before, l)})
	}
	return lines
}

func (f EvidenceFile) download() download {
	title := f.Title
	if title == "" {
		title = f.Name
	}
	dl := download{Name: f.Name, Title: title, On: f.On, Lane: f.Lane, Phase: f.Phase, Size: bytes(f.Size), Href: relative(f.Name)}
	if len(f.Raw) > 0 && len(f.Raw) <= rawLimit {
		dl.Inline = true
		// The type is ours and not the file's, so that a browser saves it whatever it holds.
		dl.Href = template.URL("data:application/octet-stream;base64," + base64.StdEncoding.EncodeToString(f.Raw))
	}
	return dl
}

// relative is the address of a file in the folder that the report lies in.
func relative(name string) template.URL {
	parts := strings.Split(name, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return template.URL(rundir.EvidenceDir + "/" + strings.Join(parts, "/"))
}
