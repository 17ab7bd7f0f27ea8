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
	p := d.page()
	p.frame = newFrame()
	return render("page.html", p)
}

// frame is what every page has beside its content.
type frame struct {
	Policy string
	Style  template.CSS
	Script template.JS
}

func newFrame() frame {
	style, script := asset("style.css"), asset("print.js")
	return frame{
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
