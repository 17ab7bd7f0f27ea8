package reports

import (
	stdbytes "bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"strings"
)

//go:embed templates
var files embed.FS

var templates = template.Must(template.New("").ParseFS(files, "templates/*.html"))

// Templates is a copy of the reports' templates, for pages of other packages that look the same. They use "head" and "badge".
func Templates() *template.Template { return template.Must(templates.Clone()) }

// HTML makes the report: one file that needs no network, no script and no other file.
func HTML(d Data) ([]byte, error) {
	p := d.page()
	p.Frame = NewFrame()
	return render("page.html", p)
}

// Frame is what every page has beside its content.
type Frame struct {
	Policy string
	Style  template.CSS
	Script template.JS
}

// NewFrame is the frame with the reports' style, and with rules that a page adds to it.
func NewFrame(more ...string) Frame {
	style, script := strings.Join(append([]string{asset("style.css")}, more...), "\n"), asset("print.js")
	return Frame{
		// Whatever a program wrote into its output, the browser runs and loads nothing but what was embedded here.
		Policy: "default-src 'none'; img-src data:; style-src " + digest(style) + "; script-src " + digest(script) + "; base-uri 'none'; form-action 'none'",
		Style:  template.CSS(style), Script: template.JS(script),
	}
}

func render(name string, p any) ([]byte, error) {
	var out stdbytes.Buffer
	if err := templates.ExecuteTemplate(&out, name, p); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func asset(name string) string {
	data, err := files.ReadFile("templates/" + name)
	if err != nil {
		panic("reports: " + err.Error()) // the file is part of the program
	}
	return strings.TrimSpace(string(data))
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
