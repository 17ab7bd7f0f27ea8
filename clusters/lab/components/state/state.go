// Package state is the protocol between the lab and the components it starts: one JSON object a line on standard input,
// each the whole desired state, and one JSON object a line on standard output, each a report.
package state

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// State is everything a component is to know about the cluster at one revision. It is always the whole: what is
// missing from it is gone.
type State struct {
	// Revision names this state in the component's reports. It should grow.
	Revision int64 `json:"revision"`
	// Services of all namespaces.
	Services []*corev1.Service `json:"services,omitempty"`
	// EndpointSlices of all namespaces, joined to their Service by the label kubernetes.io/service-name.
	EndpointSlices []*discoveryv1.EndpointSlice `json:"endpointSlices,omitempty"`
	// Nodes is optional; kube-proxy reads its own node's zone from it.
	Nodes []*corev1.Node `json:"nodes,omitempty"`
	// Namespaces is read by CoreDNS, which answers for no name in a namespace that is not listed.
	Namespaces []*corev1.Namespace `json:"namespaces,omitempty"`
	// Pods is read by CoreDNS where its Corefile says `pods verified`.
	Pods []*corev1.Pod `json:"pods,omitempty"`
}

// Decode reads one line, applies the API server's defaults and refuses what no API server would have stored.
func Decode(line []byte) (*State, error) {
	st := &State{}
	if err := json.Unmarshal(line, st); err != nil {
		return nil, fmt.Errorf("state of %d bytes: %w", len(line), err)
	}
	if err := check(st); err != nil {
		return st, err
	}
	setDefaults(st)
	return st, nil
}

// check refuses objects without a name and two objects of one name, which would make a difference meaningless.
func check(st *State) error {
	for _, err := range []error{
		checkObjects("services", st.Services),
		checkObjects("endpointSlices", st.EndpointSlices),
		checkObjects("nodes", st.Nodes),
		checkObjects("namespaces", st.Namespaces),
		checkObjects("pods", st.Pods),
	} {
		if err != nil {
			return fmt.Errorf("state of revision %d: %w", st.Revision, err)
		}
	}
	return nil
}

func checkObjects[T Object](field string, objects []T) error {
	seen := make(map[string]bool, len(objects))
	for i, object := range objects {
		if isNil(object) {
			return fmt.Errorf("%s[%d] is null", field, i)
		}
		key := Key(object)
		if object.GetName() == "" {
			return fmt.Errorf("%s[%d] has no metadata.name", field, i)
		}
		if seen[key] {
			return fmt.Errorf("%s[%d]: %s is there twice", field, i, key)
		}
		seen[key] = true
	}
	return nil
}
