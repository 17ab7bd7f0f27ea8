package lab_test

import (
	"net"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/clusters/agent/probes"
	"github.com/relapse-k8s/relapse/clusters/agent/readers"
)

// exposed has a server on the second node only, and a Service of every kind that leads to it.
var exposed = []string{
	`{apiVersion: v1, kind: Pod, metadata: {name: client}, spec: {nodeName: node-1, containers: [{name: main, image: relapse, args: [pause]}]}}`,
	`{apiVersion: v1, kind: Pod, metadata: {name: web, labels: {app: web}}, spec: {nodeName: node-2, containers: [{name: main, image: relapse, args: [server, ":8080"]}]}}`,
	`{apiVersion: v1, kind: Service, metadata: {name: ported}, spec: {type: NodePort, selector: {app: web}, ports: [{port: 80, targetPort: 8080, nodePort: 30080}]}}`,
	`{apiVersion: v1, kind: Service, metadata: {name: local}, spec: {type: NodePort, externalTrafficPolicy: Local, selector: {app: web}, ports: [{port: 80, targetPort: 8080, nodePort: 30081}]}}`,
	`{apiVersion: v1, kind: Service, metadata: {name: inside}, spec: {internalTrafficPolicy: Local, clusterIP: 10.96.0.90, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}}`,
	`{apiVersion: v1, kind: Service, metadata: {name: external}, spec: {clusterIP: 10.96.0.91, externalIPs: [198.51.100.91], selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}}`,
	`{apiVersion: v1, kind: Service, metadata: {name: balanced}, spec: {type: LoadBalancer, loadBalancerIP: 198.51.100.92, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}}`,
	`{apiVersion: v1, kind: Service, metadata: {name: guarded}, spec: {type: LoadBalancer, loadBalancerIP: 198.51.100.93, loadBalancerSourceRanges: [192.0.2.0/24], selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}}`,
	`{apiVersion: v1, kind: Service, metadata: {name: checked}, spec: {type: LoadBalancer, loadBalancerIP: 198.51.100.94, externalTrafficPolicy: Local, healthCheckNodePort: 30001, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}}`,
}

// reached makes one attempt to connect, and says how it went: connected, refused, or silent.
func reached(t *testing.T, c clusters.Cluster, from, to string) string {
	t.Helper()
	if place, port, err := net.SplitHostPort(to); err == nil {
		if address, err := c.Address(place); err == nil {
			to = net.JoinHostPort(address, port)
		}
	}
	switch sample := attempt(t, c, from, "connect", probes.Connect{To: to}); {
	case sample.Error == "":
		return "connected"
	case sample.Took < time.Second:
		return "refused"
	}
	return "silent"
}

func TestServicesAreReachedFromEverywhere(t *testing.T) {
	for _, proxy := range []string{"nftables", "iptables"} {
		t.Run(proxy, func(t *testing.T) {
			t.Parallel()
			spec := clusters.Spec{Name: proxy, Nodes: 2, Proxy: proxy}
			for _, text := range exposed {
				spec.Workload = append(spec.Workload, object(t, text))
			}
			c := create(t, spec)
			for _, way := range []struct{ from, to, want string }{
				{"outside", "node/node-1:30080", "connected"},
				{"outside", "node/node-2:30080", "connected"},
				{"pod/client", "node/node-1:30080", "connected"},
				{"node/node-1", "node/node-1:30080", "connected"},
				{"node/node-1", "10.96.0.91:80", "connected"},
				{"node/node-1", "pod/web:8080", "connected"},
				{"outside", "node/node-1:30081", "silent"},
				{"outside", "node/node-2:30081", "connected"},
				{"pod/client", "10.96.0.90:80", "silent"},
				{"pod/web", "10.96.0.90:80", "connected"},
				{"outside", "198.51.100.91:80", "connected"},
				{"outside", "198.51.100.92:80", "connected"},
				{"outside", "198.51.100.93:80", "silent"},
				{"outside", "198.51.100.94:80", "silent"},
				{"node/node-2", "198.51.100.94:80", "connected"},
			} {
				NewWithT(t).Expect(reached(t, c, way.from, way.to)).To(Equal(way.want), "%s to %s", way.from, way.to)
			}
			for node, status := range map[string]string{"node/node-1": "503 Service Unavailable", "node/node-2": "200 OK"} {
				address, err := c.Address(node)
				NewWithT(t).Expect(err).NotTo(HaveOccurred())
				health := attempt(t, c, "outside", "http", &probes.HTTP{URL: "http://" + address + ":30001/", Status: []int{200, 503}})
				NewWithT(t).Expect(health.Seen).To(Equal(status), node)
			}
		})
	}
}

// TestSessionAffinity: a client stays with its endpoint.
func TestSessionAffinity(t *testing.T) {
	for _, proxy := range []string{"nftables", "iptables"} {
		t.Run(proxy, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			spec := clusters.Spec{Name: proxy, Nodes: 1, Proxy: proxy}
			for _, text := range []string{
				`{apiVersion: v1, kind: Pod, metadata: {name: client}, spec: {containers: [{name: main, image: relapse, args: [pause]}]}}`,
				`{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {replicas: 2, selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: main, image: relapse, args: [server, ":8080"]}]}}}}`,
				`{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {clusterIP: 10.96.0.80, selector: {app: web}, sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: 60}}, ports: [{port: 80, targetPort: 8080}]}}`,
			} {
				spec.Workload = append(spec.Workload, object(t, text))
			}
			c := create(t, spec)
			const connections = 8
			for range connections {
				g.Expect(reached(t, c, "pod/client", "10.96.0.80:80")).To(Equal("connected"))
			}
			var accepted []float64
			pods, err := c.Resolve("pod/web")
			g.Expect(err).NotTo(HaveOccurred())
			for _, pod := range pods {
				values, err := readers.Read.Call(t.Context(), c.Agent(pod), readers.Question{Reader: "snmp"}, nil)
				g.Expect(err).NotTo(HaveOccurred())
				accepted = append(accepted, values["TcpPassiveOpens"])
			}
			g.Expect(accepted).To(ConsistOf(0.0, float64(connections)))
		})
	}
}
