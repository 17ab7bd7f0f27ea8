package cni

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/logs"
)

func TestHubblesFlows(t *testing.T) {
	g := NewWithT(t)
	drop, ok := hubbleDrop(`{"flow":{"time":"2026-11-30T15:40:01.2Z","verdict":"DROPPED","drop_reason":133,"IP":{"source":"10.244.1.4","destination":"10.244.2.5","ipVersion":"IPv4"},"l4":{"TCP":{"source_port":40104,"destination_port":8080,"flags":{"SYN":true}}},"source":{"ID":7,"identity":1201,"namespace":"lane-1","labels":["k8s:app=client"],"pod_name":"client"},"destination":{"identity":1202,"namespace":"lane-1","labels":["k8s:app=web"],"pod_name":"web"},"Type":"L3_L4","node_name":"relapse-x-worker","event_type":{"type":1,"sub_type":133},"traffic_direction":"INGRESS","drop_reason_desc":"POLICY_DENIED"},"node_name":"relapse-x-worker","time":"2026-11-30T15:40:01.2Z"}`)
	g.Expect(ok).To(BeTrue())
	g.Expect(drop).To(Equal(logs.Drop{Namespace: "lane-1", Pod: "web", Direction: "ingress", Address: "10.244.1.4", Peer: "lane-1/client", Protocol: "tcp", Port: 8080}))
	drop, ok = hubbleDrop(`{"flow":{"verdict":"DROPPED","IP":{"source":"10.244.1.4","destination":"192.0.2.1"},"l4":{"UDP":{"source_port":40104,"destination_port":53}},"source":{"namespace":"default","pod_name":"client"},"destination":{"identity":2,"labels":["reserved:world"]},"traffic_direction":"EGRESS","drop_reason_desc":"POLICY_DENY","egress_denied_by":[{"name":"no-dns","namespace":"default"}]}}`)
	g.Expect(ok).To(BeTrue())
	g.Expect(drop).To(Equal(logs.Drop{Namespace: "default", Pod: "client", Direction: "egress", Policies: []string{"default/no-dns"}, Address: "192.0.2.1", Protocol: "udp", Port: 53}))

	for what, line := range map[string]string{
		"a line of the agent":  `time=2026-11-30T15:40:01Z level=info msg="Policy imported"`,
		"another reason":       `{"flow":{"verdict":"DROPPED","destination":{"namespace":"default","pod_name":"web"},"traffic_direction":"INGRESS","drop_reason_desc":"UNSUPPORTED_L3_PROTOCOL"}}`,
		"a forwarded flow":     `{"flow":{"verdict":"FORWARDED","destination":{"namespace":"default","pod_name":"web"},"traffic_direction":"INGRESS"}}`,
		"a pod of nobody":      `{"flow":{"verdict":"DROPPED","destination":{"identity":1},"traffic_direction":"INGRESS","drop_reason_desc":"POLICY_DENIED"}}`,
		"a line that was cut":  `{"flow":{"verdict":"DROPPED","dest`,
		"a port out of bounds": `{"flow":{"verdict":"DROPPED","l4":{"TCP":{"destination_port":70000}},"destination":{"namespace":"default","pod_name":"web"},"traffic_direction":"INGRESS","drop_reason_desc":"POLICY_DENIED"}}`,
	} {
		_, ok := hubbleDrop(line)
		g.Expect(ok).To(BeFalse(), what)
	}
}
