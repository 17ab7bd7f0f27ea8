package kind

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/relapse-k8s/relapse/clusters/limits"

	"github.com/relapse-k8s/relapse/clusters/kind/kubeobjects"
)

// Settle makes every kube-proxy synchronize until stale rules are gone: the chains of a deleted Service are removed by a synchronization
// at least a second later. Source: Kubernetes pkg/proxy/nftables/proxier.go (staleChains).
func (c *cluster) Settle(ctx context.Context) error { return c.kind.settle(ctx, c.part) }

// settleName is a Service without endpoints, which makes kube-proxy synchronize.
const settleName = "relapse-settle"

// settle waits for the cluster's own pods, which a fault may have cut off. Then it makes every kube-proxy synchronize twice, by adding
// and deleting an unused Service. Without kube-proxy there is nothing to do. It waits for the kube-proxies of a part's nodes.
func (k *Kind) settle(ctx context.Context, p *part) (err error) {
	if err := k.cluster.Running(ctx); err != nil {
		return err
	}
	if err := k.systemReady(ctx); err != nil {
		return err
	}
	if k.cluster.Spec.Proxy == "none" {
		return nil
	}
	services := k.cluster.Client.CoreV1().Services(p.namespace)
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: settleName, Labels: map[string]string{kubeobjects.RunLabel: settleName}}}
	service.Spec.Ports = []corev1.ServicePort{{Port: 9}}
	remove := func(ctx context.Context) error {
		err := services.Delete(ctx, settleName, metav1.DeleteOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	}
	defer func() {
		if err != nil {
			limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), limits.Look)
			defer cancel()
			err = errors.Join(err, remove(limited))
		}
	}()
	for _, touch := range []func() error{
		func() error {
			_, err := services.Create(ctx, service, metav1.CreateOptions{FieldManager: kubeobjects.Manager})
			return err
		},
		func() error { return remove(ctx) },
	} {
		if err := k.synchronized(ctx, p, touch); err != nil {
			return fmt.Errorf("service %s: %w", settleName, err)
		}
	}
	return nil
}

// synchronized changes a Service and waits until every kube-proxy of a part has synchronized after that.
func (k *Kind) synchronized(ctx context.Context, p *part, touch func() error) error {
	before, err := k.lastSyncs(ctx, p)
	if err != nil {
		return err
	}
	if err := touch(); err != nil {
		return err
	}
	return k.cluster.WaitFor(ctx, limits.ProxySync, func(ctx context.Context) (string, error) {
		now, err := k.lastSyncs(ctx, p)
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
}

// lastSyncs asks each kube-proxy for the time of its last synchronization, in seconds since 1970, by node.
func (k *Kind) lastSyncs(ctx context.Context, p *part) (map[string]float64, error) {
	syncs := map[string]float64{}
	for _, node := range p.nodes {
		text, err := k.proxyMetrics(ctx, node.Container)
		if err != nil {
			return nil, err
		}
		if syncs[node.Name], err = lastSync(text); err != nil {
			return nil, fmt.Errorf("metrics of kube-proxy on %s: %w", node.Name, err)
		}
	}
	return syncs, nil
}

// syncMetric has a series for each IP family since 1.33, and one without labels before.
// Source: Kubernetes pkg/proxy/metrics/metrics.go.
var syncMetric = regexp.MustCompile(`(?m)^kubeproxy_sync_proxy_rules_last_timestamp_seconds(?:\{ip_family="IPv4"\})? (\S+)$`)

func lastSync(metrics string) (float64, error) {
	found := syncMetric.FindStringSubmatch(metrics)
	if found == nil {
		return 0, errors.New("no time of the last synchronization of IPv4 rules")
	}
	return strconv.ParseFloat(found[1], 64)
}

// proxyMetrics reads the metrics of a node's kube-proxy through the API server.
func (k *Kind) proxyMetrics(ctx context.Context, container string) (string, error) {
	pods, err := k.cluster.Client.CoreV1().Pods(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{
		LabelSelector: "k8s-app=kube-proxy", FieldSelector: "spec.nodeName=" + container,
	})
	if err != nil {
		return "", err
	}
	if len(pods.Items) == 0 {
		return "", fmt.Errorf("no kube-proxy pod on node %s", container)
	}
	text, err := k.cluster.Client.CoreV1().Pods(metav1.NamespaceSystem).ProxyGet("http", pods.Items[0].Name, "10249", "metrics", nil).DoRaw(ctx)
	if err != nil {
		return "", fmt.Errorf("metrics of kube-proxy on %s: %w", container, err)
	}
	return string(text), nil
}
