package plot

import (
	"encoding/xml"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

// one is a figure of one lane with one phase.
func one(samples []Sample, counters ...Counter) Figure {
	return Figure{ID: "p", Title: "t", Probes: []string{"lookup"}, Good: "ok", Bad: "slow", Columns: []Column{{Name: "fault", State: Symptom, Word: "slow"}},
		Lanes: []Lane{{Title: "lane", Cells: []Cell{{Name: "fault", Tone: Faulty, End: 10, Samples: samples}}, Counters: counters}}}
}

func TestThousandsOfSamplesStaySmall(t *testing.T) {
	var samples []Sample
	for i := range 100_000 {
		samples = append(samples, Sample{Start: float64(i) / 10_000, Took: 0.002 + float64(i%7)*1e-6, Failed: i%2 == 0})
	}
	for _, l := range []Layout{Wide, Narrow} {
		NewWithT(t).Expect(len(SVG(one(samples), l))).To(BeNumerically("<", 64<<10))
	}
}

func TestThousandsOfReadingsStaySmall(t *testing.T) {
	c := Counter{Name: "drop"}
	for i := range 100_000 {
		c.Points = append(c.Points, Point{float64(i) / 10_000, float64(i)})
	}
	NewWithT(t).Expect(len(SVG(one(nil, c), Wide))).To(BeNumerically("<", 64<<10))
}

func TestEverythingIsEscaped(t *testing.T) {
	const evil = "<script>\"'&\x00]]>"
	g := NewWithT(t)
	f := one([]Sample{{Took: 1, Failed: true}, {Took: 1, Probe: 1}}, Counter{Name: evil, Texts: []string{evil}, Moved: []bool{true}, Points: []Point{{0, 1}}})
	f.ID, f.Title, f.Desc, f.Good, f.Bad, f.Probes = evil, evil, evil, evil, evil, []string{evil, evil}
	f.Columns[0] = Column{evil, Symptom, evil, evil, evil, evil, true}
	f.Lanes[0].Title, f.Lanes[0].Note = evil, evil
	f.Lanes[0].Cells[0].Moments = []Moment{{T: 5, Name: evil}}
	f.Lanes[0].Cells[0].Label, f.Lanes[0].Cells[0].Short = evil, evil
	for _, l := range []Layout{Wide, Narrow} {
		svg := SVG(f, l)
		g.Expect(svg).NotTo(ContainSubstring("<script"))
		g.Expect(xml.Unmarshal([]byte(svg), new(struct{}))).To(Succeed())
	}
}

func TestAMomentIsALineWithItsName(t *testing.T) {
	f := one(nil)
	f.Lanes[0].Cells[0].Moments = []Moment{{T: 5, Name: "old-ends"}}
	for _, l := range []Layout{Wide, Narrow} {
		NewWithT(t).Expect(SVG(f, l)).To(And(ContainSubstring(`class="moment"`), ContainSubstring("old-ends")))
	}
}

func TestFailedAttemptsDifferInShape(t *testing.T) {
	g := NewWithT(t)
	for mark, s := range map[mark]Sample{markFine: {}, markSlow: {Symptom: true}, markFailed: {Failed: true, Symptom: true}, markOther: {Probe: 1}, markOtherFailed: {Probe: 1, Failed: true}} {
		g.Expect(markOf(s)).To(Equal(mark))
	}
	g.Expect(markFailed.path()).NotTo(Equal(markSlow.path()))
	g.Expect(markSlow.path()).NotTo(Equal(markFine.path()))
}

func TestAFigureWithNothingInIt(t *testing.T) {
	g := NewWithT(t)
	svg := SVG(Figure{}, Wide)
	g.Expect(svg).NotTo(ContainSubstring("NaN"))
	g.Expect(SVG(one(nil, Counter{Name: "drop"}), Narrow)).NotTo(Or(ContainSubstring("NaN"), ContainSubstring("Inf")))
	g.Expect(strings.Count(svg, "<svg")).To(Equal(1))
}
