package lab_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/clusters/agent/probes"
	"github.com/relapse-k8s/relapse/clusters/lab"
)

func newLab(t testing.TB) *lab.Lab {
	t.Helper()
	if os.Getenv("RELAPSE_BIN") == "" {
		bin, err := filepath.Abs("../../bin")
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
		t.Setenv("RELAPSE_BIN", bin)
	}
	l, err := lab.New()
	if err != nil {
		t.Skip(err)
	}
	if os.Geteuid() != 0 {
		t.Skip("making network namespaces needs root here; relapse itself enters a user namespace first")
	}
	return l
}

var webAndClient = [][]byte{
	[]byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"client"},"spec":{"nodeName":"node-1","containers":[{"name":"main","image":"relapse","args":["pause"]}]}}`),
	[]byte(`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"replicas":2,"selector":{"matchLabels":{"app":"web"}},"template":{"metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"name":"main","image":"relapse","args":["server",":8080"]}]}}}}`),
	[]byte(`{"apiVersion":"v1","kind":"Service","metadata":{"name":"web"},"spec":{"selector":{"app":"web"},"ports":[{"port":80,"targetPort":8080}]}}`),
}

func create(t *testing.T, spec clusters.Spec) clusters.Cluster {
	t.Helper()
	l := newLab(t)
	spec.Logs = t.TempDir()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	c, err := l.Create(ctx, spec)
	if err != nil {
		logs, _ := filepath.Glob(spec.Logs + "/*")
		for _, log := range logs {
			text, _ := os.ReadFile(log)
			t.Logf("%s:\n%s", log, text)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() { NewWithT(t).Expect(c.Close(context.Background())).To(Succeed()) })
	return c
}

// attempt makes one attempt of a probe in a pod.
func attempt(t testing.TB, c clusters.Cluster, place, name string, config any) probes.Sample {
	t.Helper()
	g := NewWithT(t)
	raw, err := json.Marshal(config)
	g.Expect(err).NotTo(HaveOccurred())
	_, err = probes.OpenProbe.Call(context.Background(), c.Agent(place), probes.Opening{ID: name, Name: name, Config: raw}, nil)
	g.Expect(err).NotTo(HaveOccurred())
	var sample probes.Sample
	sampling := probes.Sampling{ID: name, Attempts: 1, Every: time.Millisecond, Timeout: 3 * time.Second}
	_, err = probes.SampleProbe.Call(context.Background(), c.Agent(place), sampling, func(s probes.Sample) { sample = s })
	g.Expect(err).NotTo(HaveOccurred())
	return sample
}

func TestAServiceIsReachedByItsName(t *testing.T) {
	for _, spec := range []clusters.Spec{
		{Name: "one-nftables", Nodes: 1, Proxy: "nftables"},
		{Name: "two-nftables", Nodes: 2, Proxy: "nftables", PodNetwork: "routes"},
		{Name: "two-iptables-vxlan", Nodes: 2, Proxy: "iptables", PodNetwork: "vxlan"},
	} {
		t.Run(spec.Name, func(t *testing.T) {
			spec.Workload = webAndClient
			c := create(t, spec)
			for range 4 { // both backends, on both nodes
				g := NewWithT(t)
				sample := attempt(t, c, "pod/client", "connect", probes.Connect{To: "web:80"})
				g.Expect(sample.Error).To(BeEmpty())
			}
			g := NewWithT(t)
			sample := attempt(t, c, "pod/client", "lookup", probes.Lookup{Name: "www.example.com."})
			g.Expect(sample.Error).To(BeEmpty())
			g.Expect(sample.Seen).To(Equal("203.0.113.10"))
			sample = attempt(t, c, "pod/client", "lookup", probes.Lookup{Name: "nowhere"})
			g.Expect(sample.Error).To(ContainSubstring("no such host"))
		})
	}
}
