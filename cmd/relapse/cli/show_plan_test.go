package cli

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// TestSettingsInThePlan: what is not set is left out; a text is set even if it is "0" or "false".
func TestSettingsInThePlan(t *testing.T) {
	g := NewWithT(t)
	type settings struct {
		Key   string         `json:"key"`
		Value string         `json:"value"`
		Count int            `json:"count"`
		On    bool           `json:"on"`
		After units.Duration `json:"after"`
	}
	text := func(s settings) string { return useText(scenario.Use{Name: "sysctl", Config: &s}) }
	g.Expect(text(settings{})).To(Equal("sysctl"))
	g.Expect(text(settings{Key: "net.ipv4.ip_forward", Value: "0"})).To(Equal(`sysctl {key: net.ipv4.ip_forward, value: "0"}`))
	g.Expect(text(settings{Value: "false", Count: 3, On: true})).To(Equal(`sysctl {value: "false", count: 3, on: true}`))
	g.Expect(text(settings{After: units.Duration(2 * time.Second)})).To(Equal("sysctl {after: 2s}"))
}
