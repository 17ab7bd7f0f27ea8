package suggest

import (
	"testing"

	. "github.com/onsi/gomega"
)

func TestRank(t *testing.T) {
	g := NewWithT(t)
	var texts [][]Field
	for _, text := range []string{
		"dns-5s DNS lookups take exactly five seconds",
		"conntrack-exhaustion New connections time out while existing ones keep working",
		"keepalive-mismatch A proxy sometimes answers 502 or 503",
		"snat-port-race Connections to the outside take one second, lookups five",
	} {
		texts = append(texts, []Field{{Text: text, Weight: 1}})
	}
	best := func(question string) int {
		ranked := Rank(question, texts)
		g.Expect(ranked).NotTo(BeEmpty(), question)
		return ranked[0]
	}
	g.Expect(best("lookup takes 5s")).To(Equal(0))
	g.Expect(best("lookups take 5 seconds")).To(Equal(0))
	g.Expect(best("connection to the outside takes 1 sec")).To(Equal(3))
	g.Expect(best("conections time out")).To(Equal(1), "a letter is missing")
	g.Expect(best("502 from nginx proxies")).To(Equal(2), "another ending")
	g.Expect(Rank("the weather", texts)).To(BeEmpty())
	g.Expect(Rank("", texts)).To(BeEmpty())
}
