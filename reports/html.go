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

// HTML makes the report: one file that needs no network, no script and no other file.
func HTML(d Data) ([]byte, error) {
	style, script := asset("style.css"), asset("print.js")
	p := d.page()
	p.Style, p.Script = template.CSS(style), template.JS(script)
	// Whatever a program wrote into its output, the browser runs and loads nothing but what was embedded here.
	p.Policy = "default-src 'none'; img-src data:; style-src " + digest(style) + "; script-src " + digest(script) + "; base-uri 'none'; form-action 'none'"
	var out stdbytes.Buffer
	if err := templates.ExecuteTemplate(&out, "page.html", p); err != nil {
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
