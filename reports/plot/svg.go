package plot

import (
	"html"
	"math"
	"strconv"
	"strings"
)

// canvas collects SVG. Everything that comes from outside goes through text or quote.
type canvas struct{ strings.Builder }

// tag writes an element without content; pairs are names and values of attributes.
func (c *canvas) tag(name string, pairs ...any) {
	c.WriteString("<" + name)
	c.attributes(pairs)
	c.WriteString("/>\n")
}

// open writes the start of an element.
func (c *canvas) open(name string, pairs ...any) {
	c.WriteString("<" + name)
	c.attributes(pairs)
	c.WriteString(">\n")
}

// label writes a text element.
func (c *canvas) label(x, y float64, text string, pairs ...any) {
	if text == "" {
		return
	}
	c.WriteString("<text")
	c.attributes(append([]any{"x", x, "y", y}, pairs...))
	c.WriteString(">" + quote(text) + "</text>\n")
}

func (c *canvas) close(name string) { c.WriteString("</" + name + ">\n") }

func (c *canvas) attributes(pairs []any) {
	for i := 0; i+1 < len(pairs); i += 2 {
		value := ""
		switch v := pairs[i+1].(type) {
		case float64:
			value = num(v)
		case string:
			value = quote(v)
		}
		if value != "" {
			c.WriteString(" " + pairs[i].(string) + `="` + value + `"`)
		}
	}
}

// num writes a coordinate with a tenth of a pixel, which nobody can see, and no trailing zero.
func num(v float64) string {
	text := strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64)
	if text == "-0" {
		return "0"
	}
	return text
}

// quote makes text safe inside an element and inside a quoted attribute. Characters that XML forbids are replaced, so
// that the picture can also be saved as a file of its own.
func quote(s string) string {
	s = strings.Map(func(r rune) rune {
		if (r < 0x20 && r != '\t' && r != '\n') || r == 0xFFFE || r == 0xFFFF {
			return '\uFFFD'
		}
		return r
	}, s)
	return html.EscapeString(s)
}
