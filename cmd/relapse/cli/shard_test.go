package cli

import (
	"fmt"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/reports"
)

func TestTheShardsOfTheSuiteAreTheWholeSuite(t *testing.T) {
	g := NewWithT(t)
	f := runFlags{clusterFlags: clusterFlags{cluster: "lab"}, all: true}
	all, err := f.choose(nil)
	g.Expect(err).NotTo(HaveOccurred())
	for _, of := range []int{1, 2, 8, len(all)} {
		var parts []chosen
		for number := 1; number <= of; number++ {
			f.shard = fmt.Sprintf("%d/%d", number, of)
			part, shard, err := f.own(t.Context(), all)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(part).NotTo(BeEmpty())
			g.Expect(shard).To(Equal(&reports.Shard{Number: number, Of: of, Scenarios: len(all)}))
			parts = append(parts, part...)
		}
		g.Expect(parts).To(ConsistOf(all))
	}
	f.shard = ""
	g.Expect(f.own(t.Context(), all)).To(Equal(all), "without --shard it is all of them, and no shard")
}
