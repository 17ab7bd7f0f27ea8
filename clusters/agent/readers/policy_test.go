package readers

import (
	"testing"

	. "github.com/onsi/gomega"
)

func TestCalicosRules(t *testing.T) {
	g := NewWithT(t)
	g.Expect(calicoPolicy([]byte(`*filter
:cali-tw-cali12 - [0:0]
[12:720] -A cali-tw-cali12 -m comment --comment "cali:a" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
[9:540] -A cali-tw-cali12 -m comment --comment "cali:b" -m comment --comment "Drop if no policies passed packet" -m mark --mark 0x0/0x20000 -j DROP
[2:80] -A cali-fw-cali12 -m comment --comment "cali:c" -m comment --comment "Drop if no policies passed packet" -m mark --mark 0x0/0x20000 -j DROP
[1:60] -A cali-fw-cali12 -m comment --comment "cali:d" -m comment --comment "Drop if no profiles matched" -j DROP
[3:60] -A cali-tw-cali34 -m comment --comment "cali:e" -m comment --comment "Drop if no profiles matched" -j DROP
[4:240] -A cali-to-wl-dispatch -m comment --comment "cali:f" -m comment --comment "Unknown interface" -j DROP
[1:60] -A cali-from-wl-dispatch -m comment --comment "cali:g" -m comment --comment "Unknown interface" -j DROP
COMMIT
`))).To(Equal(map[string]float64{"isolated": 2, "ingress": 9, "egress": 2, "unknown": 5}))
	g.Expect(calicoPolicy([]byte("*filter\n[1:60] -A FORWARD -j DROP\nCOMMIT\n"))).To(BeEmpty())
}

func TestCiliumsMetrics(t *testing.T) {
	g := NewWithT(t)
	metrics, err := parseMetrics([]byte(`# TYPE cilium_drop_count_total counter
cilium_drop_count_total{direction="EGRESS",reason="Policy denied"} 7
cilium_drop_count_total{direction="INGRESS",reason="Policy denied"} 3
cilium_drop_count_total{direction="INGRESS",reason="Unsupported L3 protocol"} 40
# TYPE cilium_policy_endpoint_enforcement_status gauge
cilium_policy_endpoint_enforcement_status{enforcement="both"} 1
cilium_policy_endpoint_enforcement_status{enforcement="egress"} 0
cilium_policy_endpoint_enforcement_status{enforcement="ingress"} 2
cilium_policy_endpoint_enforcement_status{enforcement="none"} 5
`))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(ciliumPolicy(metrics)).To(Equal(map[string]float64{"isolated": 4, "ingress": 3, "egress": 7}))
	g.Expect(ciliumPolicy(nil)).To(Equal(map[string]float64{"isolated": 0, "ingress": 0, "egress": 0}))
}
