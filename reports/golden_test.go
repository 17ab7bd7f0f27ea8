package reports

import (
	stdbytes "bytes"
	"encoding/xml"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/reports/plot"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	g := NewWithT(t)
	path := filepath.Join("testdata", name)
	if *update {
		g.Expect(os.MkdirAll("testdata", 0o755)).To(Succeed())
		g.Expect(os.WriteFile(path, got, 0o644)).To(Succeed())
		return
	}
	want, err := os.ReadFile(path)
	g.Expect(err).NotTo(HaveOccurred())
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs; look at the change and, if it is meant, run go test -update\n%s", path, diff)
	}
}

func TestGolden(t *testing.T) {
	runs := map[string]func(*testing.T) Data{
		"dns-5s":               func(t *testing.T) Data { return dnsRun(t, false) },
		"dns-5s-failed":        func(t *testing.T) Data { return dnsRun(t, true) },
		"conntrack-exhaustion": conntrackRun,
		"crash":                crashRun,
	}
	for name, make := range runs {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			d := make(t)
			page, err := render("page.html", d.page()) // the frame has a test of its own
			g.Expect(err).NotTo(HaveOccurred())
			golden(t, name+".html", page)
			suites, err := JUnit(d)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(xml.Unmarshal(suites, new(struct{}))).To(Succeed())
			golden(t, name+".junit.xml", suites)
			var text stdbytes.Buffer
			g.Expect(Terminal(&text, d, 80, false)).To(Succeed())
			golden(t, name+".txt", text.Bytes())
			golden(t, name+".md", Markdown(d))
		})
	}
}

func TestGoldenSVG(t *testing.T) {
	d := conntrackRun(t)
	figure := d.picture(d.variants()[0])
	for _, layout := range []plot.Layout{plot.Wide, plot.Narrow} {
		picture := []byte(plot.SVG(figure, layout) + "\n")
		NewWithT(t).Expect(xml.Unmarshal(picture, new(struct{}))).To(Succeed())
		golden(t, "conntrack-exhaustion."+layout.Name+".svg", picture)
	}
}
