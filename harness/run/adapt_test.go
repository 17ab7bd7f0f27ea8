package run

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/harness/detect"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// The judge looks for a reader as the file writes it, wherever the lane has run.
func TestReadersKeepTheirNames(t *testing.T) {
	g := NewWithT(t)
	with := func(address string) *scenario.Scenario {
		reading := scenario.ReadingExpectation{Reader: "services/" + address, Key: "stale"}
		return &scenario.Scenario{
			Variants:  []scenario.Variant{{Fault: scenario.Fault{Proof: []scenario.ReadingExpectation{reading}}}},
			Detection: []scenario.Detector{{Use: scenario.Use{Name: "counter", Config: &detect.Counter{ReadingExpectation: reading}}}},
		}
	}
	adapted := with("10.96.2.125")
	keepReaders(with("10.96.0.125"), adapted)
	g.Expect(adapted).To(Equal(with("10.96.0.125")))
}
