package scenario

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// workloadKinds are the objects that every cluster understands.
var workloadKinds = []string{"Pod", "Deployment", "Service", "NetworkPolicy", "Namespace", "ConfigMap"}

// object is what is looked at here; the rest of an object is checked by the cluster that it is made on.
type object struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
	} `json:"metadata"`
}

func (v *validator) object(i int) (o object, path string, err error) {
	path = index("workload", i)
	if v.r.blocked(path) || v.s.Workload[i] == nil {
		return o, path, fmt.Errorf("not read")
	}
	return o, path, json.Unmarshal(v.s.Workload[i], &o)
}

func (v *validator) collectNodes() {
	v.nodes = names{noun: "node", plural: "nodes", unsure: v.s.Topology.Nodes < 1}
	for i := range min(v.s.Topology.Nodes, 9) {
		v.nodes.list = append(v.nodes.list, fmt.Sprintf("node-%d", i+1))
	}
}

func (v *validator) collectPods() {
	v.pods = names{noun: "pod", plural: "pods", unsure: v.r.blocked("workload")}
	for i := range v.s.Workload {
		o, _, err := v.object(i)
		switch {
		case err != nil || o.Kind == "" || o.Metadata.Name == "":
			v.pods.unsure = true
		case o.Kind == "Pod":
			v.pods.list = append(v.pods.list, o.Metadata.Name)
		case o.Kind == "Deployment":
			v.pods.note = " (the pods of a Deployment have no names to refer to)"
		}
	}
}

func (v *validator) workload() {
	var seen []string
	for i, raw := range v.s.Workload {
		o, path, err := v.object(i)
		if raw == nil {
			continue
		}
		if err != nil {
			v.r.addAt(path, "not a Kubernetes object: it needs the texts apiVersion, kind and metadata.name")
			continue
		}
		for field, given := range map[string]string{"apiVersion": o.APIVersion, "kind": o.Kind, "metadata.name": o.Metadata.Name} {
			if given == "" {
				v.r.addAt(path+"."+field, "missing: a Kubernetes object has apiVersion, kind and metadata.name")
			}
		}
		if o.Kind != "" && !slices.Contains(workloadKinds, o.Kind) {
			v.r.addAt(join(path, "kind"), "a workload is made of %s: %s is not one of them", strings.Join(workloadKinds, ", "), o.Kind)
		}
		if o.Kind == "" || o.Metadata.Name == "" {
			continue
		}
		called := o.Kind + " " + o.Metadata.Namespace + "/" + o.Metadata.Name
		if slices.Contains(seen, called) {
			v.r.addAt(path+".metadata.name", "there is another %s %q", o.Kind, o.Metadata.Name)
		}
		seen = append(seen, called)
	}
}
