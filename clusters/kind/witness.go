package kind

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/clusters/kind/kubeobjects"
	"github.com/relapse-k8s/relapse/clusters/limits"
)

// tables are the lists that kubectl get would print, with the lane's namespace for NAMESPACE.
var tables = []struct{ title, path string }{
	{"kubectl get nodes", "/api/v1/nodes"},
	{"kubectl get pods", "/api/v1/namespaces/NAMESPACE/pods"},
	{"kubectl get services", "/api/v1/namespaces/NAMESPACE/services"},
	{"kubectl get endpointslices", "/apis/discovery.k8s.io/v1/namespaces/NAMESPACE/endpointslices"},
	{"kubectl get pods -n kube-system", "/api/v1/namespaces/kube-system/pods"},
	{"kubectl get events", "/api/v1/namespaces/NAMESPACE/events"},
}

// debugged is what the debug container runs: the first commands of an investigation.
const debugged = "cat /etc/resolv.conf; echo; ip address; echo; ip route; echo; ss -s"

// Witness collects what people would look at on a real cluster. Output that does not arrive in time is replaced by the error.
func (c *cluster) Witness(ctx context.Context, pods []string) ([]clusters.Exhibit, error) {
	var all []clusters.Exhibit
	show := func(title, on string, limit time.Duration, look func(context.Context) (string, error)) {
		limited, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer within %s", limit))
		defer cancel()
		text, err := look(limited)
		if err != nil {
			text = fmt.Sprintf("%s\n(%v)\n", text, err)
		}
		all = append(all, clusters.Exhibit{Title: title, On: on, Text: text})
	}
	for _, t := range tables {
		show(t.title, "cluster", limits.Look, func(ctx context.Context) (string, error) {
			return c.kind.table(ctx, strings.Replace(t.path, "NAMESPACE", c.namespace, 1))
		})
	}
	for _, n := range c.nodes {
		show("kube-proxy's metrics", "node/"+n.Name, limits.Look, func(ctx context.Context) (string, error) {
			text, err := c.kind.proxyMetrics(ctx, n.Container)
			return only(text, "kubeproxy_"), err
		})
	}
	show("CoreDNS's metrics", "cluster", 2*limits.Look, c.kind.corednsMetrics)
	for _, place := range pods {
		show("kubectl debug ("+debugged+")", place, limits.Debug, func(ctx context.Context) (string, error) {
			return c.debug(ctx, strings.TrimPrefix(place, "pod/"))
		})
	}
	return all, ctx.Err()
}

// table asks the API server for a list as kubectl prints it.
func (k *Kind) table(ctx context.Context, path string) (string, error) {
	raw, err := k.rest().Get().AbsPath(path).SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").DoRaw(ctx)
	if err != nil {
		return "", fmt.Errorf("GET %s: %w", path, err)
	}
	var table metav1.Table
	if err := json.Unmarshal(raw, &table); err != nil {
		return "", fmt.Errorf("GET %s: %w", path, err)
	}
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 3, ' ', 0)
	row := func(cells []string) { fmt.Fprintln(w, strings.Join(cells, "\t")) }
	var heads []string
	for _, column := range table.ColumnDefinitions {
		heads = append(heads, strings.ToUpper(column.Name))
	}
	row(heads)
	for _, r := range table.Rows {
		var cells []string
		for _, cell := range r.Cells {
			cells = append(cells, fmt.Sprint(cell))
		}
		row(cells)
	}
	return out.String(), w.Flush()
}

func (k *Kind) rest() rest.Interface { return k.cluster.Client.Discovery().RESTClient() }

// only keeps the metrics whose name has a prefix.
func only(text, prefix string) string {
	var kept strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, prefix) {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// corednsMetrics reads the metrics of every CoreDNS through the API server.
func (k *Kind) corednsMetrics(ctx context.Context) (string, error) {
	pods := k.cluster.Client.CoreV1().Pods(metav1.NamespaceSystem)
	list, err := pods.List(ctx, metav1.ListOptions{LabelSelector: "k8s-app=kube-dns"})
	if err != nil {
		return "", err
	}
	var all strings.Builder
	var errs []error
	for _, pod := range list.Items {
		text, err := pods.ProxyGet("http", pod.Name, "9153", "metrics", nil).DoRaw(ctx)
		if err != nil {
			err = fmt.Errorf("pod %s: %w", pod.Name, err)
		}
		errs = append(errs, err)
		fmt.Fprintf(&all, "pod %s\n%s\n", pod.Name, only(string(text), "coredns_"))
	}
	return all.String(), errors.Join(errs...)
}

// debug runs these commands in an ephemeral container of a pod, as kubectl debug does, and returns their output.
func (c *cluster) debug(ctx context.Context, name string) (string, error) {
	pods := c.kind.cluster.Client.CoreV1().Pods(c.namespace)
	pod, err := pods.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	container := fmt.Sprintf("debug-%d", len(pod.Spec.EphemeralContainers)+1)
	pod.Spec.EphemeralContainers = append(pod.Spec.EphemeralContainers, corev1.EphemeralContainer{
		EphemeralContainerCommon: corev1.EphemeralContainerCommon{
			Name: container, Image: c.kind.image.Ref(), ImagePullPolicy: corev1.PullNever, Command: []string{"sh", "-c", debugged},
		},
	})
	if _, err := pods.UpdateEphemeralContainers(ctx, name, pod, metav1.UpdateOptions{FieldManager: kubeobjects.Manager}); err != nil {
		return "", err
	}
	err = c.kind.cluster.WaitFor(ctx, limits.Debug, func(ctx context.Context) (string, error) {
		pod, err := pods.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		for _, s := range pod.Status.EphemeralContainerStatuses {
			if s.Name == container && s.State.Terminated != nil {
				return "", nil
			}
		}
		return container + " has not ended", nil
	})
	if err != nil {
		return "", err
	}
	text, err := pods.GetLogs(name, &corev1.PodLogOptions{Container: container}).DoRaw(ctx)
	return string(text), err
}
