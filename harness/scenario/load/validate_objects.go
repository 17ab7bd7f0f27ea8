package load

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kfield "k8s.io/apimachinery/pkg/util/validation/field"
	kjson "sigs.k8s.io/json"

	"github.com/relapse-k8s/relapse/clusters/logs"
	"github.com/relapse-k8s/relapse/clusters/podtemplate"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// kubernetesObjects checks objects as the API server would, as far as scenarios are about them: what it refuses would end a run in the
// middle. What a cluster does not support it says itself.
func (v *validator) kubernetesObjects() {
	v.containers, v.volumes, v.keys = map[string][]string{}, map[string][]string{}, map[string][]string{}
	for _, l := range v.objects() {
		v.object(l.path, l.raw)
	}
	scenario.Walk("", v.s, func(path string, value reflect.Value, f reflect.StructField) {
		if raw, ok := value.Interface().(scenario.Raw); ok && f.Tag.Get("ref") == "object" {
			v.object(path, raw)
		}
	})
}

func (v *validator) object(path string, raw scenario.Raw) {
	o, err := v.read(located{raw: raw, path: path})
	if err == nil {
		v.pod(o, raw)
	}
	check := objectChecks[o.Kind]
	if err != nil || check.of == nil || o.APIVersion == "" || o.Metadata.Name == "" {
		return // said elsewhere, or another kind, which the cluster checks
	}
	if o.APIVersion != check.apiVersion {
		v.r.addAt(path+".apiVersion", "must be %s for a %s, found %q", check.apiVersion, o.Kind, o.APIVersion)
		return
	}
	object, problems := check.of(raw)
	for _, p := range problems {
		v.r.addAt(strings.TrimSuffix(path+"."+p.field, "."), "%s", p.message)
	}
	switch o := object.(type) {
	case *corev1.Pod:
		for _, volume := range o.Spec.Volumes {
			if volume.ConfigMap != nil {
				v.volumes[o.Name] = append(v.volumes[o.Name], volume.ConfigMap.Name)
			}
		}
	case *corev1.ConfigMap:
		v.keys[o.Name] = append(v.keys[o.Name], slices.Collect(maps.Keys(o.Data))...)
	}
}

// pod notes the containers of the pods of an object, and their images.
func (v *validator) pod(o scenario.ObjectHead, raw scenario.Raw) {
	spec, err := podtemplate.Spec(raw)
	if err != nil || spec == nil { // it is said elsewhere
		return
	}
	names := []string{o.Metadata.Name}
	switch o.Kind {
	case "Pod":
	case "StatefulSet":
		names = podsOf(o, raw)
	default:
		names = nil // the pods have names that nobody knows
	}
	for _, c := range spec.Containers {
		v.images = append(v.images, logs.SourceOf(c.Image))
		for _, name := range names {
			v.containers[name] = append(v.containers[name], c.Name)
		}
	}
}

// problem is what is wrong with a field of an object; the field is empty for the object as a whole.
type problem struct{ field, message string }

// objectCheck checks the objects of a kind.
type objectCheck struct {
	apiVersion string
	// of decodes an object and returns it with all that is wrong with it.
	of func(raw []byte) (any, []problem)
}

var objectChecks = map[string]objectCheck{
	"Pod":           checkOf("v1", checkPod),
	"Deployment":    checkOf("apps/v1", checkDeployment),
	"Service":       checkOf("v1", checkService),
	"ConfigMap":     checkOf("v1", checkConfigMap),
	"Namespace":     checkOf("v1", checkNamespace),
	"NetworkPolicy": checkOf("networking.k8s.io/v1", checkNetworkPolicy),
}

func checkOf[T any](apiVersion string, check func(*T) kfield.ErrorList) objectCheck {
	return objectCheck{apiVersion, func(raw []byte) (any, []problem) {
		object := new(T)
		strict, err := kjson.UnmarshalStrict(raw, object)
		if err != nil {
			return nil, []problem{{"", err.Error()}}
		}
		var problems []problem
		for _, err := range strict {
			problems = append(problems, strictProblem(err))
		}
		for _, e := range check(object) {
			problems = append(problems, problem{e.Field, e.ErrorBody()})
		}
		return object, problems
	}}
}

var unknownField = regexp.MustCompile(`^unknown field "(.*)"$`)

// strictProblem reads the field out of an error such as: unknown field "spec.prots[0]".
func strictProblem(err error) problem {
	if m := unknownField.FindStringSubmatch(err.Error()); m != nil {
		return problem{m[1], fmt.Sprintf("unknown field %q of this kind of object", m[1])}
	}
	return problem{"", err.Error()}
}

// namespaced fills in the namespace that an object without one is in.
func namespaced(meta *metav1.ObjectMeta) *metav1.ObjectMeta {
	if meta.Namespace == "" {
		meta.Namespace = metav1.NamespaceDefault
	}
	return meta
}
