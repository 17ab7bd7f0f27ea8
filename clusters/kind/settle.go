package kind

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Settle waits until every kube-proxy has synchronized twice: what the first finds stale, such as the chains of a Service that has
// gone, the next one removes.
func (c *cluster) Settle(ctx context.Context) error { return c.kind.settle(ctx, 2) }

// settle waits until every kube-proxy has synchronized some times more. Without a kube-proxy there is nothing to wait for.
func (k *Kind) settle(ctx context.Context, times int) error {
	if k.cluster.Spec.Proxy == "none" {
		return nil
	}
	for range times {
		before, err := k.lastSyncs(ctx)
		if err != nil {
			return err
		}
		err = eventually(ctx, settleLimit, func(ctx context.Context) (string, error) {
			now, err := k.lastSyncs(ctx)
			if err != nil {
				return "", err
			}
			var late []string
			for node, at := range before {
				if now[node] <= at {
					late = append(late, fmt.Sprintf("kube-proxy on %s has not synchronized since %.3f", node, at))
				}
			}
			return strings.Join(late, "; "), nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// lastSyncs asks each kube-proxy when it synchronized last, in seconds since 1970, by node.
// Source: Kubernetes pkg/proxy/metrics/metrics.go.
func (k *Kind) lastSyncs(ctx context.Context) (map[string]float64, error) {
	const metric = "kubeproxy_sync_proxy_rules_last_timestamp_seconds"
	syncs := map[string]float64{}
	for _, node := range k.cluster.Nodes {
		text, err := k.proxyMetrics(ctx, node.Container)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(text) {
			fields := strings.Fields(line)
			if len(fields) != 2 || !strings.HasPrefix(fields[0], metric) {
				continue
			}
			at, err := strconv.ParseFloat(fields[1], 64)
			if err != nil {
				return nil, fmt.Errorf("kube-proxy on %s: %s: %w", node.Name, strings.TrimSpace(line), err)
			}
			// One for each IP family.
			syncs[node.Name] = max(syncs[node.Name], at)
		}
	}
	return syncs, nil
}

// proxyMetrics reads the metrics of a node's kube-proxy by way of the API server.
func (k *Kind) proxyMetrics(ctx context.Context, container string) (string, error) {
	pods, err := k.cluster.Client.CoreV1().Pods(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{
		LabelSelector: "k8s-app=kube-proxy", FieldSelector: "spec.nodeName=" + container,
	})
	if err != nil {
		return "", err
	}
	if len(pods.Items) == 0 {
		return "", fmt.Errorf("there is no kube-proxy on %s", container)
	}
	text, err := k.cluster.Client.CoreV1().Pods(metav1.NamespaceSystem).ProxyGet("http", pods.Items[0].Name, "10249", "metrics", nil).DoRaw(ctx)
	if err != nil {
		return "", fmt.Errorf("metrics of kube-proxy on %s: %w", container, err)
	}
	return string(text), nil
}
