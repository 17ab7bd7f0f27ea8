package kind

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"github.com/relapse-k8s/relapse/clusters/kind/agents"
	"github.com/relapse-k8s/relapse/clusters/podtemplate"
)

// A node of a kind cluster is a privileged container: whoever is root on a node is root on this machine. A scenario's file is data of
// strangers, so it may make only objects that give nobody a node.

// harmless are the kinds of Kubernetes' own groups that a scenario may make. Not among them are those that give rights in the cluster
// (RBAC), which a pod could use to make a privileged one, those that the API server calls (webhooks, aggregated APIs), and volumes and
// nodes. Kinds of other groups are those of CNIs and operators, and may be made.
var harmless = map[string][]string{
	"": {
		"Pod", "Service", "ConfigMap", "Secret", "Namespace", "Endpoints", "PersistentVolumeClaim", "ServiceAccount", "ReplicationController",
		"LimitRange", "ResourceQuota", "PodTemplate",
	},
	"apps":                   {"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"},
	"batch":                  {"Job", "CronJob"},
	"networking.k8s.io":      {"NetworkPolicy", "Ingress", "IngressClass"},
	"discovery.k8s.io":       {"EndpointSlice"},
	"policy":                 {"PodDisruptionBudget"},
	"autoscaling":            {"HorizontalPodAutoscaler"},
	"scheduling.k8s.io":      {"PriorityClass"},
	"apiextensions.k8s.io":   {"CustomResourceDefinition"},
	"coordination.k8s.io":    {"Lease"},
	"apiregistration.k8s.io": {},
}

// custom says whether a group is none of Kubernetes' own.
func custom(group string) bool {
	_, known := harmless[group]
	return !known && !scheme.Scheme.IsGroupRegistered(group)
}

// passive are the kinds that may be made and changed in the namespaces of the cluster itself, where pods have rights: none of them runs
// anything.
var passive = []string{"ConfigMap", "Service", "EndpointSlice", "NetworkPolicy"}

// maxPods is how many pods one object may ask for.
const maxPods = 100

// checkHarmless says what in an object could hurt this machine.
func checkHarmless(text []byte) []error {
	object := &unstructured.Unstructured{}
	if err := json.Unmarshal(text, &object.Object); err != nil {
		return []error{err}
	}
	kind, group := object.GetKind(), object.GroupVersionKind().Group
	var errs []error
	wrong := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s %s: "+format+"; --allow-any-object allows it", append([]any{kind, object.GetName()}, args...)...))
	}
	if !custom(group) && !slices.Contains(harmless[group], kind) {
		wrong("kind: a scenario may not make objects of kind %s", kind)
	}
	if namespace := object.GetNamespace(); ofCluster(namespace) && !slices.Contains(passive, kind) {
		wrong("metadata.namespace: in %s, which belongs to the cluster, a scenario may make only %s", namespace, strings.Join(passive, ", "))
	}
	for _, field := range [][]string{{"spec", "replicas"}, {"spec", "parallelism"}, {"spec", "completions"}, {"spec", "maxReplicas"}, {"spec", "jobTemplate", "spec", "parallelism"}} {
		value, found, err := unstructured.NestedFieldNoCopy(object.Object, field...)
		if n, ok := value.(float64); err == nil && found && ok && n > maxPods {
			wrong("%s: %v: must be at most %d", strings.Join(field, "."), value, maxPods)
		}
	}
	for _, problem := range checkPods(text, object) {
		wrong("%s", problem)
	}
	return errs
}

// ofCluster says whether a namespace is one of the cluster's own.
func ofCluster(namespace string) bool {
	return strings.HasPrefix(namespace, "kube-") || slices.Contains([]string{"local-path-storage", agents.Namespace, "calico-system", "calico-apiserver", "tigera-operator", "cilium-secrets"}, namespace)
}

// baseline checks pods by the Pod Security Standard of this name, except for the node's ports: a node is a container.
var baseline = func() policy.Evaluator {
	checks := slices.DeleteFunc(policy.DefaultChecks(), func(c policy.Check) bool { return c.ID == "hostPorts" })
	evaluator, err := policy.NewEvaluator(checks, nil)
	if err != nil {
		panic(err) // the checks are part of this program
	}
	return evaluator
}()

// checkPods says why the pods of an object do not meet the standard.
func checkPods(text []byte, object *unstructured.Unstructured) []string {
	path, ok := podtemplate.Path(object.GetAPIVersion(), object.GetKind())
	if !ok {
		return nil
	}
	spec, err := podtemplate.Spec(text)
	if err != nil {
		return []string{err.Error()}
	}
	if spec == nil {
		return nil // the API server says what is missing
	}
	template, _, _ := unstructured.NestedMap(object.Object, append(slices.Clone(path), "metadata")...)
	pod := &metav1.ObjectMeta{Annotations: (&unstructured.Unstructured{Object: map[string]any{"metadata": template}}).GetAnnotations()}
	var problems []string
	for _, r := range baseline.EvaluatePod(api.LevelVersion{Level: api.LevelBaseline, Version: api.LatestVersion()}, pod, spec) {
		if !r.Allowed {
			problems = append(problems, fmt.Sprintf("%s: not allowed: %s (%s)", strings.Join(append(path, "spec"), "."), r.ForbiddenReason, r.ForbiddenDetail))
		}
	}
	return problems
}
