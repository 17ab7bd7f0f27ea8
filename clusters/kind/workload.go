package kind

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	kjson "sigs.k8s.io/json"

	"github.com/relapse-k8s/relapse/clusters/kind/agents"
	"github.com/relapse-k8s/relapse/clusters/kind/kubeobjects"
	"github.com/relapse-k8s/relapse/clusters/kind/provision"
	"github.com/relapse-k8s/relapse/clusters/podtemplate"
)

// ownerLabel of a pod names the object of the workload that it belongs to: a Pod, a Deployment and so on.
const ownerLabel = "relapse.dev/workload"

// preparer prepares a scenario's objects for a real cluster.
type preparer struct {
	run   string
	nodes []provision.Node
	image *agents.Image
	// images that the scenario names, by owner and container.
	images map[string]string
	// owners are the objects that have pods, by their names.
	owners map[string]string
	next   int
}

// prepare adds the run's label to an object, and to its pods a node, and the agent's image where they run relapse's own programs. Everything
// else stays as it is.
func (p *preparer) prepare(text []byte) ([]byte, error) {
	object := &unstructured.Unstructured{}
	if err := json.Unmarshal(text, object); err != nil {
		return nil, err
	}
	if err := p.mark(object.Object); err != nil {
		return nil, err
	}
	if path, ok := podtemplate.Path(object.GetAPIVersion(), object.GetKind()); ok {
		if err := p.pods(object, path); err != nil {
			return nil, fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
	return json.Marshal(object.Object)
}

// mark adds the run's label to what has metadata, and other labels.
func (p *preparer) mark(fields map[string]any, labels ...string) error {
	if fields["metadata"] == nil {
		fields["metadata"] = map[string]any{}
	}
	there, _, err := unstructured.NestedStringMap(fields, "metadata", "labels")
	if err != nil {
		return err
	}
	return unstructured.SetNestedStringMap(fields, with(with(there, kubeobjects.RunLabel, p.run), labels...), "metadata", "labels")
}

// pods prepares the pods of an object, whose template is at a path in it.
func (p *preparer) pods(object *unstructured.Unstructured, path []string) error {
	if err := p.own(object.GetKind(), object.GetNamespace(), object.GetName()); err != nil {
		return err
	}
	if err := p.markMore(object.Object); err != nil {
		return err
	}
	template := object.Object
	for _, name := range path {
		next, ok := template[name].(map[string]any)
		if !ok {
			return nil // the API server says what is missing
		}
		template = next
	}
	if err := p.mark(template, ownerLabel, object.GetName()); err != nil {
		return err
	}
	given, err := json.Marshal(template["spec"])
	if err != nil {
		return err
	}
	spec := new(corev1.PodSpec)
	strict, err := kjson.UnmarshalStrict(given, spec)
	if err = errors.Join(append(strict, err)...); err != nil { // what is not known here would get lost
		return fmt.Errorf("%s: %w", strings.Join(append(path, "spec"), "."), err)
	}
	if err := p.pod(object.GetName(), spec, len(path) == 0); err != nil {
		return err
	}
	template["spec"], err = runtime.DefaultUnstructuredConverter.ToUnstructured(spec)
	return err
}

// markMore marks what controllers make for the pods, so that it is found when the workload is deleted.
func (p *preparer) markMore(object map[string]any) error {
	if jobs, ok, _ := unstructured.NestedFieldNoCopy(object, "spec", "jobTemplate"); ok {
		if fields, ok := jobs.(map[string]any); ok {
			if err := p.mark(fields); err != nil {
				return err
			}
		}
	}
	claims, _, _ := unstructured.NestedFieldNoCopy(object, "spec", "volumeClaimTemplates")
	list, _ := claims.([]any)
	for _, claim := range list {
		if fields, ok := claim.(map[string]any); ok {
			if err := p.mark(fields); err != nil {
				return err
			}
		}
	}
	return nil
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
		return fmt.Errorf("%s: %s has the same name: names of what has pods must be unique across namespaces", self, other)
	}
	p.owners[name] = self
	return nil
}

// pod prepares the pods of an owner: with a node, with the agent's image, and, unless they ask for them, as in the lab without a service
// account token and the variables of Services.
func (p *preparer) pod(owner string, spec *corev1.PodSpec, single bool) error {
	if err := p.place(owner, spec, single); err != nil {
		return err
	}
	// They end soon, but not with a grace period of 0: the API server would then delete them before the kubelet has removed their network.
	soon, no := int64(1), false
	spec.TerminationGracePeriodSeconds = cmp.Or(spec.TerminationGracePeriodSeconds, &soon)
	spec.AutomountServiceAccountToken = cmp.Or(spec.AutomountServiceAccountToken, &no)
	spec.EnableServiceLinks = cmp.Or(spec.EnableServiceLinks, &no)
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
		among(spec, p.nodes)
	}
	return nil
}

// among restricts pods to some of the nodes, beside what they ask for themselves.
func among(spec *corev1.PodSpec, nodes []provision.Node) {
	in := corev1.NodeSelectorRequirement{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn}
	for _, n := range nodes {
		in.Values = append(in.Values, n.Container)
	}
	if spec.Affinity == nil {
		spec.Affinity = &corev1.Affinity{}
	}
	if spec.Affinity.NodeAffinity == nil {
		spec.Affinity.NodeAffinity = &corev1.NodeAffinity{}
	}
	own := spec.Affinity.NodeAffinity
	if own.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		own.RequiredDuringSchedulingIgnoredDuringExecution = &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{}}}
	}
	terms := own.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
	for i := range terms { // one of them must hold, and in it all requirements
		terms[i].MatchExpressions = append(terms[i].MatchExpressions, in)
	}
}

func nodeNames(nodes []provision.Node) string {
	var names []string
	for _, n := range nodes {
		names = append(names, n.Name)
	}
	return strings.Join(names, ", ")
}

// order in which objects are created: first those that others need.
var order = []string{"Namespace", "CustomResourceDefinition", "PriorityClass", "ServiceAccount", "Secret", "ConfigMap", "PersistentVolumeClaim", "Service"}

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
