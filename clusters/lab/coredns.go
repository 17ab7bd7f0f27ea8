package lab

import (
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/relapse-k8s/relapse/clusters/agent/program"
)

// corednsConfig is the ConfigMap with CoreDNS's Corefile, the only one that can be replaced while a cluster runs.
var corednsConfig = object{"ConfigMap", metav1.NamespaceSystem, "coredns"}

// corefile is kubeadm's, without health, ready and reload, which nobody asks here. Source: Kubernetes
// cmd/kubeadm/app/phases/addons/dns/manifests.go.
const corefile = `.:53 {
    errors
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }
    prometheus :9153
    forward . /etc/resolv.conf {
        max_concurrent 1000
    }
    cache 30 {
        disable success cluster.local
        disable denial cluster.local
    }
    loop
    loadbalance
}
`

// apiAddress is where the stand-in for the API server listens, in CoreDNS's own pod.
const apiAddress = "127.0.0.1:16443"

// configMap is the object with a Corefile.
func configMap(corefile string) []byte {
	text, _ := json.Marshal(corev1.ConfigMap{ // it never fails
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: corednsConfig.kind},
		ObjectMeta: metav1.ObjectMeta{Name: corednsConfig.name, Namespace: corednsConfig.namespace},
		Data:       map[string]string{"Corefile": corefile},
	})
	return text
}

// corefile is the one in the ConfigMap; that of a workload comes after the lab's own.
func (c *cluster) corefile() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range slices.Backward(c.work.configMaps) {
		if corednsConfig == identify("ConfigMap", m.Namespace, m.Name) {
			return m.Data["Corefile"]
		}
	}
	return ""
}

var kubernetesPlugin = regexp.MustCompile(`(?m)^([ \t]*kubernetes\b[^{\n]*?)[ \t]*(\{?)[ \t]*$`)

// withAPI tells the plugin kubernetes where the API is: here it is not where every pod finds it.
func withAPI(corefile string) string {
	return kubernetesPlugin.ReplaceAllStringFunc(corefile, func(line string) string {
		parts := kubernetesPlugin.FindStringSubmatch(line)
		end := "\n}"
		if parts[2] == "{" {
			end = ""
		}
		return parts[1] + " {\nendpoint http://" + apiAddress + end
	})
}

// corednsPlaces are those of CoreDNS's pods.
func (c *cluster) corednsPlaces() []string {
	var places []string
	for _, pod := range c.work.pods {
		if slices.ContainsFunc(pod.Spec.Containers, func(of corev1.Container) bool { return of.Image == corednsImage }) {
			places = append(places, podPlace(pod))
		}
	}
	return places
}

// startCoreDNSPod starts the program of one of CoreDNS's pods, which answers when it is told the state.
func (c *cluster) startCoreDNSPod(ctx context.Context, place string) error {
	return c.startCoreDNS(ctx, place, corednsImage, withAPI(c.corefile()), "--api", apiAddress)
}

// RestartCoreDNS starts CoreDNS anew in its pods.
func (c *cluster) RestartCoreDNS(ctx context.Context) error {
	c.changing.Lock()
	defer c.changing.Unlock()
	group, all := errgroup.WithContext(ctx)
	for _, place := range c.corednsPlaces() {
		group.Go(func() error { return c.restartCoreDNSPod(all, place) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return c.tell(ctx)
}

// CoreDNS counts the pods whose program has not ended.
func (c *cluster) CoreDNS(ctx context.Context) (serving, pods int, err error) {
	places := c.corednsPlaces()
	for _, place := range places {
		if !c.ended(ctx, place, corednsImage) {
			serving++
		}
	}
	return serving, len(places), ctx.Err()
}

// ended is whether a program has ended by itself.
func (c *cluster) ended(ctx context.Context, place, name string) bool {
	conn := c.processes[place].Conn
	_, err := program.Remote{Conn: conn}.Spec(ctx, name)
	return err == nil && program.Remote{Conn: conn}.Alive(ctx, name) != nil
}

// crashPause is how long a CoreDNS that has ended stays down. The kubelet's first pause is ten seconds, and the next ones are longer.
const crashPause = time.Second

// keepCoreDNS starts CoreDNS anew when it has ended, as the kubelet does, until ctx ends.
func (c *cluster) keepCoreDNS(ctx context.Context) error {
	tick := time.NewTicker(crashPause)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		if err := c.reviveCoreDNS(ctx); err != nil {
			return err
		}
	}
}

func (c *cluster) reviveCoreDNS(ctx context.Context) error {
	c.changing.Lock()
	defer c.changing.Unlock()
	for _, place := range c.corednsPlaces() {
		if !c.mayEnd(corednsImage) || !c.ended(ctx, place, corednsImage) {
			continue
		}
		if err := c.restartCoreDNSPod(ctx, place); err != nil {
			return err
		}
		if err := c.tellPlace(ctx, place, corednsImage); err != nil {
			return err
		}
	}
	return nil
}

func (c *cluster) restartCoreDNSPod(ctx context.Context, place string) error {
	if _, err := program.Stop.Call(ctx, c.processes[place].Conn, corednsImage, nil); err != nil {
		return err
	}
	return c.startCoreDNSPod(ctx, place)
}

// mayEnd is whether a program may end by itself: with a Corefile that the scenario gave it CoreDNS may, as on a real cluster.
func (c *cluster) mayEnd(name string) bool { return name == corednsImage && c.corefile() != corefile }
