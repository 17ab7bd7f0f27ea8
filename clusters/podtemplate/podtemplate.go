// Package podtemplate finds the pods that Kubernetes objects describe.
package podtemplate

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// paths of what has the metadata and the spec of pods, by kind. Source: Kubernetes API reference.
var paths = map[schema.GroupKind][]string{
	{Kind: "Pod"}:                        {},
	{Kind: "PodTemplate"}:                {"template"},
	{Kind: "ReplicationController"}:      {"spec", "template"},
	{Group: "apps", Kind: "Deployment"}:  {"spec", "template"},
	{Group: "apps", Kind: "StatefulSet"}: {"spec", "template"},
	{Group: "apps", Kind: "DaemonSet"}:   {"spec", "template"},
	{Group: "apps", Kind: "ReplicaSet"}:  {"spec", "template"},
	{Group: "batch", Kind: "Job"}:        {"spec", "template"},
	{Group: "batch", Kind: "CronJob"}:    {"spec", "jobTemplate", "spec", "template"},
}

// Path returns the path of the pod template in an object of a kind. It is empty, and ok is true, for a Pod.
func Path(apiVersion, kind string) (path []string, ok bool) {
	path, ok = paths[schema.FromAPIVersionAndKind(apiVersion, kind).GroupKind()]
	return slices.Clone(path), ok
}

// Spec returns the spec of the pods of an object, or nil if it has none.
func Spec(object []byte) (*corev1.PodSpec, error) {
	var head metav1.TypeMeta
	if err := json.Unmarshal(object, &head); err != nil {
		return nil, err
	}
	path, ok := Path(head.APIVersion, head.Kind)
	if !ok {
		return nil, nil
	}
	path = append(path, "spec")
	text := object
	for _, name := range path {
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(text, &fields); err != nil {
			return nil, fmt.Errorf("%s: %w", strings.Join(path, "."), err)
		}
		if text = fields[name]; text == nil {
			return nil, nil
		}
	}
	spec := new(corev1.PodSpec)
	if err := json.Unmarshal(text, spec); err != nil {
		return nil, fmt.Errorf("%s: %w", strings.Join(path, "."), err)
	}
	return spec, nil
}
