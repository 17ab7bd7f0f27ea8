package kind

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/relapse-k8s/relapse/clusters/kind/agents"
	"github.com/relapse-k8s/relapse/clusters/kind/provision"
)

// ownerLabel of a pod names the Pod or Deployment of the workload that it belongs to.
const ownerLabel = "relapse.dev/workload"

// preparer prepares a scenario's objects for a real cluster.
type preparer struct {
	run   string
	nodes []provision.Node
	image *agents.Image
	// images that the scenario names, by owner and container.
	images map[string]string
	// owners are the Pods and Deployments by their names.
	owners map[string]string
	next   int
}

// prepare adds the run's label to an object, and a node and the agent's image to its pods. Everything else stays as it is.
func (p *preparer) prepare(text []byte) ([]byte, error) {
	var head metav1.PartialObjectMetadata
	if err := json.Unmarshal(text, &head); err != nil {
		return nil, err
	}
	switch head.Kind {
	case "Pod":
		return change(text, func(pod *corev1.Pod) error {
			if err := p.own(pod.Kind, pod.Namespace, pod.Name); err != nil {
				return err
			}
			pod.Labels = with(pod.Labels, runLabel, p.run, ownerLabel, pod.Name)
			return p.pod(pod.Name, &pod.Spec, true)
		})
	case "Deployment":
		return change(text, func(d *appsv1.Deployment) error {
			if err := p.own(d.Kind, d.Namespace, d.Name); err != nil {
				return err
			}
			d.Labels = with(d.Labels, runLabel, p.run)
			d.Spec.Template.Labels = with(d.Spec.Template.Labels, runLabel, p.run, ownerLabel, d.Name)
			return p.pod(d.Name, &d.Spec.Template.Spec, false)
		})
	}
	return change(text, func(object *map[string]any) error {
		metadata, _ := (*object)["metadata"].(map[string]any)
		labels, _ := metadata["labels"].(map[string]any)
		if labels == nil {
			labels = map[string]any{}
			metadata["labels"] = labels
		}
		labels[runLabel] = p.run
		return nil
	})
}

// change reads an object as a T, changes it, and writes it without the fields that only the API server fills in.
func change[T any](text []byte, f func(*T) error) ([]byte, error) {
	object := new(T)
	if err := json.Unmarshal(text, object); err != nil {
		return nil, err
	}
	if err := f(object); err != nil {
		return nil, err
	}
	changed, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	var fields map[string]any
	if err := json.Unmarshal(changed, &fields); err != nil {
		return nil, err
	}
	delete(fields, "status")
	return json.Marshal(fields)
}

func with(labels map[string]string, pairs ...string) map[string]string {
	all := map[string]string{}
	for key, value := range labels {
		all[key] = value
	}
	for i := 0; i < len(pairs); i += 2 {
		all[pairs[i]] = pairs[i+1]
	}
	return all
}

// own refuses a second owner of pods with the same name, because pod/NAME must be unique.
func (p *preparer) own(kind, namespace, name string) error {
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	self := kind + " " + namespace + "/" + name
	if other := p.owners[name]; other != "" && other != self {
		return fmt.Errorf("%s: %s has the same name: names of Pods and Deployments must be unique across namespaces", self, other)
	}
	p.owners[name] = self
	return nil
}

// pod prepares the pods of an owner: with a node, with the agent's image, and, as in the lab, without a service account token and the
// variables of Services.
func (p *preparer) pod(owner string, spec *corev1.PodSpec, single bool) error {
	if err := p.place(owner, spec, single); err != nil {
		return err
	}
	// They end soon, but not with a grace period of 0: the API server would then delete them before the kubelet has removed their network.
	soon, no := int64(1), false
	spec.TerminationGracePeriodSeconds, spec.AutomountServiceAccountToken, spec.EnableServiceLinks = &soon, &no, &no
	for _, c := range spec.Containers {
		p.images[owner+"/"+c.Name] = c.Image
	}
	return p.image.Contain(spec)
}

// place selects a pod's node as the lab does: the node that it names, otherwise each in turn. The scheduler does the rest, by the node's
// label.
func (p *preparer) place(owner string, spec *corev1.PodSpec, single bool) error {
	if spec.NodeName != "" || single {
		if spec.NodeName == "" {
			spec.NodeName = p.nodes[p.next%len(p.nodes)].Name
			p.next++
		}
		i := slices.IndexFunc(p.nodes, func(n provision.Node) bool { return n.Name == spec.NodeName })
		if i < 0 {
			return fmt.Errorf("%s: spec.nodeName: unknown node %s: must be one of %s", owner, spec.NodeName, nodeNames(p.nodes))
		}
		spec.NodeSelector = with(spec.NodeSelector, corev1.LabelHostname, p.nodes[i].Container)
		spec.NodeName = ""
	} else {
		spec.Affinity = among(p.nodes)
	}
	return nil
}

// among restricts pods to some of the nodes.
func among(nodes []provision.Node) *corev1.Affinity {
	var names []string
	for _, n := range nodes {
		names = append(names, n.Container)
	}
	return &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
		NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{
			{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: names},
		}}},
	}}}
}

func nodeNames(nodes []provision.Node) string {
	var names []string
	for _, n := range nodes {
		names = append(names, n.Name)
	}
	return strings.Join(names, ", ")
}

// order in which objects are created: first those that others need.
var order = []string{"Namespace", "ConfigMap", "Service"}

// sorted puts objects into that order.
func sorted(workload [][]byte) [][]byte {
	rank := func(text []byte) int {
		var head metav1.TypeMeta
		if json.Unmarshal(text, &head) != nil || !slices.Contains(order, head.Kind) {
			return len(order)
		}
		return slices.Index(order, head.Kind)
	}
	all := slices.Clone(workload)
	slices.SortStableFunc(all, func(a, b []byte) int { return rank(a) - rank(b) })
	return all
}
