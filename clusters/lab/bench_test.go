package lab_test

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/agent/probes"
	"github.com/relapse-k8s/relapse/clusters/agent/sandbox"
	"github.com/relapse-k8s/relapse/clusters/lab"
)

// BenchmarkLab makes labs, up to the first connection through a Service, and takes them down again; beside that it starts and
// ends as many bare processes in namespaces of their own. The ratio of the two is what a lab costs.
func BenchmarkLab(b *testing.B) {
	for _, size := range []struct {
		name        string
		nodes, pods int
	}{{"1-node-2-pods", 1, 2}, {"3-nodes-30-pods", 3, 30}} {
		b.Run(size.name, func(b *testing.B) {
			l := newLab(b)
			var labs, bare time.Duration
			for b.Loop() {
				start := time.Now()
				count := upAndDown(b, l, size.nodes, size.pods)
				labs += time.Since(start)
				start = time.Now()
				bareProcesses(b, l, count)
				bare += time.Since(start)
			}
			b.ReportMetric(labs.Seconds()/bare.Seconds(), "lab/bare")
			b.ReportMetric(labs.Seconds()/float64(b.N), "s/lab")
		})
	}
}

// upAndDown returns how many processes the lab had.
func upAndDown(b *testing.B, l *lab.Lab, nodes, pods int) int {
	b.Helper()
	workload := [][]byte{
		[]byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"client"},"spec":{"containers":[{"name":"main","image":"relapse","args":["pause"]}]}}`),
		fmt.Appendf(nil, `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"replicas":%d,"selector":{"matchLabels":{"app":"web"}},"template":{"metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"name":"main","image":"relapse","args":["server",":8080"]}]}}}}`, pods-1),
		[]byte(`{"apiVersion":"v1","kind":"Service","metadata":{"name":"web"},"spec":{"clusterIP":"10.96.0.80","selector":{"app":"web"},"ports":[{"port":80,"targetPort":8080}]}}`),
	}
	ctx := context.Background()
	c, err := l.Create(ctx, clusters.Spec{Name: "bench", Nodes: nodes, Proxy: "nftables", Workload: workload, Logs: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	if sample := attempt(b, c, "pod/client", "connect", probes.Connect{To: "10.96.0.80:80"}); sample.Error != "" {
		b.Fatal(sample.Error)
	}
	if err := c.Close(ctx); err != nil {
		b.Fatal(err)
	}
	// Agents: the nodes', the pods', CoreDNS's two, the outside's and the wiring's; programs: kube-proxy on each node, a
	// container in each pod, three CoreDNS.
	return nodes + pods + 2 + 1 + 1 + nodes + pods + 3
}

// bareProcesses starts and ends processes in the same namespaces that do nothing but answer that they are there.
func bareProcesses(b *testing.B, l *lab.Lab, count int) {
	b.Helper()
	var all []*exec.Cmd
	for range count {
		cmd := exec.Command(filepath.Join(l.Bin, "relapse-agent"), "wiring")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: sandbox.Namespaces}
		stdin, err := cmd.StdinPipe()
		if err != nil {
			b.Fatal(err)
		}
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			b.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		conn := agent.NewConn("bare", stdout, stdin)
		b.Cleanup(func() { conn.Close() })
		all = append(all, cmd)
		defer conn.Close()
	}
	for _, cmd := range all {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}
