package clusterwide

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/harness/site"
)

// CoreDNSConfig changes the Corefile in the ConfigMap coredns of kube-system, and starts CoreDNS anew, as kubectl edit configmap and
// kubectl rollout restart do. Its caches are empty then. Use it for wrong or better settings of the cluster's DNS. CoreDNS may fail with
// the Corefile that is given: whether it serves is in the readings.
type CoreDNSConfig struct {
	// Corefile is the whole file. In the lab, the plugin kubernetes is told where the API is.
	Corefile string `json:"corefile,omitempty"`
	// Plugins replaces plugins of the first server, which in kubeadm's Corefile is the only one, by their names: {forward: "forward . 10.0.0.2"}.
	// A plugin that is not there is added; one with an empty text is taken out.
	Plugins map[string]string `json:"plugins,omitempty"`
}

const (
	corednsNamespace = "kube-system"
	corednsName      = "coredns"
)

var pluginName = regexp.MustCompile(`^[a-z0-9_]+$`)

// Validate refuses a Corefile that cannot be one.
func (c *CoreDNSConfig) Validate() error {
	if (c.Corefile == "") == (len(c.Plugins) == 0) {
		return errors.New("give either corefile or plugins")
	}
	if strings.Count(c.Corefile, "{") != strings.Count(c.Corefile, "}") {
		return errors.New("corefile: braces must be in pairs")
	}
	for _, name := range slices.Sorted(maps.Keys(c.Plugins)) {
		text := c.Plugins[name]
		switch words := strings.Fields(text); {
		case !pluginName.MatchString(name):
			return fmt.Errorf("plugins: %q is not the name of a plugin, such as forward", name)
		case len(words) > 0 && words[0] != name:
			return fmt.Errorf("plugins.%s: the text must begin with %s, as in the Corefile", name, name)
		case strings.Count(text, "{") != strings.Count(text, "}"):
			return fmt.Errorf("plugins.%s: braces must be in pairs", name)
		}
	}
	return nil
}

// WholeCluster is true: all lanes ask the same CoreDNS.
func (CoreDNSConfig) WholeCluster() bool { return true }

// ApplyTo replaces the ConfigMap and starts CoreDNS anew. Undone, the ConfigMap is restored first.
func (c *CoreDNSConfig) ApplyTo(ctx context.Context, s *site.Scope) error {
	cluster, err := nameServed(s)
	if err != nil {
		return err
	}
	before, err := corefileOf(ctx, s.Cluster)
	if err != nil {
		return err
	}
	after, err := c.change(before)
	if err != nil {
		return err
	}
	object, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]string{"namespace": corednsNamespace, "name": corednsName},
		"data": map[string]string{"Corefile": after},
	})
	if err != nil {
		return err
	}
	if err := s.PushFunc("restart CoreDNS", cluster.RestartCoreDNS); err != nil {
		return err
	}
	if err := s.Object(ctx, object, s.Cluster.Apply); err != nil {
		return err
	}
	return cluster.RestartCoreDNS(ctx)
}

// change is the Corefile with the change made, which must alter it.
func (c *CoreDNSConfig) change(before string) (string, error) {
	after := c.Corefile
	if after == "" {
		after = before
		for _, name := range slices.Sorted(maps.Keys(c.Plugins)) {
			after = withPlugin(after, name, c.Plugins[name])
		}
	}
	if after == before {
		return "", errors.New("CoreDNS has this Corefile already, so setting it would change nothing")
	}
	return after, nil
}

// withPlugin replaces a plugin of the first server of a Corefile, whose braces are the first and the last.
func withPlugin(corefile, name, text string) string {
	var lines []string
	depth, left, skipping := 0, false, false
	put := func() {
		if text = strings.TrimSpace(text); text != "" {
			lines = append(lines, "    "+strings.ReplaceAll(text, "\n", "\n    "))
		}
		text = ""
	}
	for line := range strings.Lines(corefile) {
		line = strings.TrimRight(line, "\n")
		if words := strings.Fields(line); depth == 1 && !left && len(words) > 0 && words[0] == name {
			skipping = true
			put()
		}
		depth += strings.Count(line, "{") - strings.Count(line, "}")
		if depth == 0 && !left {
			if left = strings.Contains(line, "}"); left {
				put()
			}
		}
		if !skipping {
			lines = append(lines, line)
		}
		skipping = skipping && depth > 1
	}
	return strings.Join(lines, "\n") + "\n"
}

// corefileOf is the cluster's Corefile, or nothing if it has none.
func corefileOf(ctx context.Context, cluster clusters.Cluster) (string, error) {
	text, err := cluster.Object(ctx, "ConfigMap", corednsNamespace, corednsName)
	if err != nil || text == nil {
		return "", err
	}
	var config struct{ Data map[string]string }
	if err := json.Unmarshal(text, &config); err != nil {
		return "", fmt.Errorf("ConfigMap %s: %w", corednsName, err)
	}
	return config.Data["Corefile"], nil
}

func nameServed(s *site.Scope) (clusters.NameServed, error) {
	cluster, ok := s.Cluster.(clusters.NameServed)
	if !ok {
		return nil, errors.New("this cluster has no CoreDNS that can be configured")
	}
	return cluster, nil
}

// Keys are its numbers.
func (*CoreDNSConfig) Keys() units.Keys {
	return units.Keys{
		"set":     {Means: "1 while the ConfigMap is as it was changed, with which every CoreDNS was started", Kind: units.Share},
		"serving": {Means: "CoreDNS's pods that serve", Kind: units.Gauge},
		"failed":  {Means: "CoreDNS's pods that do not", Kind: units.Gauge},
	}
}

// ReadFrom compares the ConfigMap and counts CoreDNS's pods.
func (c *CoreDNSConfig) ReadFrom(ctx context.Context, s *site.Scope) (map[string]float64, error) {
	cluster, err := nameServed(s)
	if err != nil {
		return nil, err
	}
	now, err := corefileOf(ctx, s.Cluster)
	if err != nil {
		return nil, err
	}
	values := map[string]float64{"set": 0}
	if _, err := c.change(now); err != nil { // there is nothing to change
		values["set"] = 1
	}
	serving, pods, err := cluster.CoreDNS(ctx)
	values["serving"], values["failed"] = float64(serving), float64(pods-serving)
	return values, err
}
