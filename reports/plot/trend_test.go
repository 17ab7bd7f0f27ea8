package plot

import (
	"encoding/xml"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

func trendOf(n int) Trend {
	t := Trend{ID: "t", Title: "rate", Desc: "d", Panels: []Panel{{Title: "symptom", Share: true, Series: []Series{{Name: "fault", State: Symptom}}},
		{Title: "median", Series: []Series{{Name: "fault", State: Symptom}, {Name: "baseline", State: Fine}}}}}
	for i := range n {
		t.Runs = append(t.Runs, TrendRun{Label: "30 Nov", Changed: i == 2})
		p := TrendPoint{Run: i, At: 0.9, Low: 0.7, High: 1, Bad: i == 1}
		t.Panels[0].Series[0].Points = append(t.Panels[0].Series[0].Points, p)
		for s := range t.Panels[1].Series {
			t.Panels[1].Series[s].Points = append(t.Panels[1].Series[s].Points, p)
		}
	}
	return t
}

func TestATrendIsAPictureWhateverItHolds(t *testing.T) {
	for _, n := range []int{0, 1, 3, 200} {
		for _, l := range []Layout{Wide, Narrow} {
			g := NewWithT(t)
			svg := TrendSVG(trendOf(n), l)
			g.Expect(xml.Unmarshal([]byte(svg), new(struct{}))).To(Succeed())
			g.Expect(svg).NotTo(Or(ContainSubstring("NaN"), ContainSubstring("Inf")))
		}
	}
}

func TestARunThatWasNotAsExpectedHasAnotherShape(t *testing.T) {
	g := NewWithT(t)
	good, bad := TrendSVG(trendOf(1), Wide), TrendSVG(trendOf(2), Wide)
	g.Expect(strings.Count(good, markFailed.path())).To(BeZero())
	g.Expect(strings.Count(bad, markFailed.path())).To(Equal(3))
}

func TestARunWithoutAValueLeavesAGap(t *testing.T) {
	g := NewWithT(t)
	whole, gap := trendOf(3), trendOf(3)
	points := gap.Panels[0].Series[0].Points
	gap.Panels[0].Series[0].Points = []TrendPoint{points[0], points[2]}
	g.Expect(strings.Count(TrendSVG(whole, Wide), "L")).To(BeNumerically(">", strings.Count(TrendSVG(gap, Wide), "L")+1))
}

func TestTheTextOfATrendIsEscaped(t *testing.T) {
	const evil = "<script>\"'&\x00]]>"
	g := NewWithT(t)
	trend := trendOf(2)
	trend.ID, trend.Title, trend.Desc, trend.Runs[0].Label = evil, evil, evil, evil
	trend.Panels[1].Title, trend.Panels[1].Series[0].Name = evil, evil
	svg := TrendSVG(trend, Wide)
	g.Expect(svg).NotTo(ContainSubstring("<script"))
	g.Expect(xml.Unmarshal([]byte(svg), new(struct{}))).To(Succeed())
}
