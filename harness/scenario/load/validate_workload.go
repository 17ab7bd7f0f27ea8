package load

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/relapse-k8s/relapse/clusters/podtemplate"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// located is an object as it stands in the file.
type located struct {
	raw  scenario.Raw
	path string
	// variant whose own it is; empty for those of the whole scenario.
	variant string
}

// objects lists the scenario's objects, and then those of each variant.
func (v *validator) objects() []located {
	var all []located
	add := func(list []scenario.Raw, path, variant string) {
		for i, raw := range list {
			all = append(all, located{raw, index(path, i), variant})
		}
	}
	add(v.s.Workload, "workload", "")
	for i, variant := range v.s.Variants {
		add(variant.Workload, index("variants", i)+".workload", variant.ID)
	}
	return all
}

func (v *validator) read(l located) (o scenario.ObjectHead, err error) {
	if v.r.blocked(l.path) || l.raw == nil {
		return o, errors.New("not read")
	}
	return o, json.Unmarshal(l.raw, &o)
}

func (v *validator) collectNodes() {
	v.nodes = names{noun: "node", plural: "nodes", unsure: v.s.Topology.Nodes < 1}
	for i := range min(v.s.Topology.Nodes, 9) {
		v.nodes.list = append(v.nodes.list, fmt.Sprintf("node-%d", i+1))
	}
}

// onNode checks the node that the pods of an object are put on.
func (v *validator) onNode(path string, o scenario.ObjectHead, raw scenario.Raw) {
	spec, err := podtemplate.Spec(raw)
	if err != nil || spec == nil || spec.NodeName == "" { // the cluster's own check says what is wrong with the rest of an object
		return
	}
	at, _ := podtemplate.Path(o.APIVersion, o.Kind)
	v.node(strings.Join(slices.Concat([]string{path}, at, []string{"spec", "nodeName"}), "."), spec.NodeName)
}

// node checks the name of a node. A similar name is not suggested: all are similar.
func (v *validator) node(path, name string) {
	if !v.nodes.unsure && !slices.Contains(v.nodes.list, name) {
		v.r.addAt(path, "unknown node %q: must be one of %s", name, strings.Join(v.nodes.list, ", "))
	}
}

func (v *validator) collectPods() {
	v.pods = names{noun: "pod", plural: "pods", unsure: v.r.blocked("workload")}
	for _, l := range v.objects() {
		o, err := v.read(l)
		switch {
		case err != nil || o.Kind == "" || o.Metadata.Name == "":
			v.pods.unsure = true
		case o.Kind == "Pod" && !slices.Contains(v.pods.list, o.Metadata.Name):
			v.pods.list = append(v.pods.list, o.Metadata.Name)
		case o.Kind == "StatefulSet":
			v.pods.list = append(v.pods.list, podsOf(o, l.raw)...)
		case slices.Contains([]string{"Deployment", "DaemonSet", "ReplicaSet", "ReplicationController", "Job", "CronJob"}, o.Kind):
			v.pods.note = fmt.Sprintf(" (the pods of a %s have no names to refer to)", o.Kind)
		}
	}
}

// podsOf are the names of a StatefulSet's pods: NAME-0, NAME-1 and so on.
func podsOf(o scenario.ObjectHead, raw scenario.Raw) []string {
	set := struct{ Spec struct{ Replicas int } }{}
	set.Spec.Replicas = 1
	if err := json.Unmarshal(raw, &set); err != nil { // the cluster says what is wrong with it
		return nil
	}
	var names []string
	for i := range min(max(set.Spec.Replicas, 0), scenario.MaxReplicas) {
		names = append(names, fmt.Sprintf("%s-%d", o.Metadata.Name, i))
	}
	return names
}

func (v *validator) workload() {
	seen := map[string]map[string]bool{} // by variant
	for _, l := range v.objects() {
		path := l.path
		o, err := v.read(l)
		if l.raw == nil {
			continue
		}
		if err != nil {
			v.r.addAt(path, "not a Kubernetes object: it needs the texts apiVersion, kind and metadata.name")
			continue
		}
		for field, given := range map[string]string{"apiVersion": o.APIVersion, "kind": o.Kind, "metadata.name": o.Metadata.Name} {
			if given == "" {
				v.r.addAt(path+"."+field, "required field is missing: a Kubernetes object has apiVersion, kind and metadata.name")
			}
		}
		v.onNode(path, o, l.raw)
		if o.Kind == "" || o.Metadata.Name == "" {
			continue
		}
		called := o.Kind + " " + cmp.Or(o.Metadata.Namespace, "default") + "/" + o.Metadata.Name
		if seen[""][called] || seen[l.variant][called] {
			v.r.addAt(path+".metadata.name", "there is another %s %q", o.Kind, o.Metadata.Name)
		}
		if seen[l.variant] == nil {
			seen[l.variant] = map[string]bool{}
		}
		seen[l.variant][called] = true
	}
}
