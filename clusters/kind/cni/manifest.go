package cni

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/relapse-k8s/relapse/clusters/podtemplate"
)

// parse reads the objects of a manifest.
func parse(manifest []byte) ([]*unstructured.Unstructured, error) {
	var all []*unstructured.Unstructured
	documents := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(manifest), 4096)
	for {
		object := &unstructured.Unstructured{}
		err := documents.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		if object.Object != nil {
			all = append(all, object)
		}
	}
}

// find returns an object, which the manifest of this version has.
func find(all []*unstructured.Unstructured, kind, name string) (*unstructured.Unstructured, error) {
	i := slices.IndexFunc(all, func(o *unstructured.Unstructured) bool { return o.GetKind() == kind && o.GetName() == name })
	if i < 0 {
		return nil, fmt.Errorf("it has no %s %s", kind, name)
	}
	return all[i], nil
}

// podSpec returns the spec of an object's pods, or nil.
func podSpec(object *unstructured.Unstructured) map[string]any {
	path, ok := podtemplate.Path(object.GetAPIVersion(), object.GetKind())
	if !ok {
		return nil
	}
	spec, _, _ := unstructured.NestedFieldNoCopy(object.Object, append(path, "spec")...)
	fields, _ := spec.(map[string]any)
	return fields
}

// containers returns all containers of an object's pods.
func containers(object *unstructured.Unstructured) (all []map[string]any) {
	spec := podSpec(object)
	for _, list := range []string{"initContainers", "containers"} {
		some, _ := spec[list].([]any)
		for _, one := range some {
			if c, ok := one.(map[string]any); ok {
				all = append(all, c)
			}
		}
	}
	return all
}

// dropCapabilities removes capabilities that the nodes cannot give from what containers ask for, and returns which: a container that asks
// for more than its node has does not start.
func dropCapabilities(all []*unstructured.Unstructured, have func(string) bool) (dropped []string) {
	for _, object := range all {
		for _, c := range containers(object) {
			asked, found, err := unstructured.NestedStringSlice(c, "securityContext", "capabilities", "add")
			if !found || err != nil {
				continue
			}
			var kept []any
			for _, name := range asked {
				if have(name) {
					kept = append(kept, name)
				} else if !slices.Contains(dropped, name) {
					dropped = append(dropped, name)
				}
			}
			_ = unstructured.SetNestedSlice(c, kept, "securityContext", "capabilities", "add") // the path was found above
		}
	}
	return dropped
}
