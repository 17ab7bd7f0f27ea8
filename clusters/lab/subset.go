package lab

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// supported lists the fields of Kubernetes objects that the lab understands, by kind; everything else is refused with its path, so
// that no object means less here than it says. [] stands for each item of a list, * for any key.
var supported = map[string][]string{
	"Pod": append([]string{
		"apiVersion", "kind", "metadata.name", "metadata.namespace", "metadata.labels.*", "metadata.annotations.*",
	}, under("spec.", podSpec)...),
	"Deployment": append([]string{
		"apiVersion", "kind", "metadata.name", "metadata.namespace", "metadata.labels.*", "metadata.annotations.*",
		"spec.replicas", "spec.selector.matchLabels.*", "spec.template.metadata.labels.*", "spec.template.metadata.annotations.*",
	}, under("spec.template.spec.", podSpec)...),
	"ConfigMap": {
		"apiVersion", "kind", "metadata.name", "metadata.namespace", "metadata.labels.*", "metadata.annotations.*", "data.*",
	},
	"Service": {
		"apiVersion", "kind", "metadata.name", "metadata.namespace", "metadata.labels.*", "metadata.annotations.*",
		"spec.selector.*", "spec.clusterIP", "spec.type", "spec.sessionAffinity", "spec.sessionAffinityConfig.clientIP.timeoutSeconds",
		"spec.ports[].name", "spec.ports[].protocol", "spec.ports[].port", "spec.ports[].targetPort", "spec.ports[].nodePort",
		"spec.externalIPs[]", "spec.loadBalancerIP", "spec.loadBalancerSourceRanges[]", "spec.allocateLoadBalancerNodePorts",
		"spec.externalTrafficPolicy", "spec.internalTrafficPolicy", "spec.healthCheckNodePort",
	},
	"NetworkPolicy": slices.Concat(
		[]string{
			"apiVersion", "kind", "metadata.name", "metadata.namespace", "metadata.labels.*", "metadata.annotations.*", "spec.policyTypes[]",
		},
		under("spec.podSelector.", selector),
		under("spec.ingress[].ports[].", policyPort), under("spec.ingress[].from[].", policyPeer),
		under("spec.egress[].ports[].", policyPort), under("spec.egress[].to[].", policyPeer),
	),
	"Namespace": {"apiVersion", "kind", "metadata.name", "metadata.labels.*", "metadata.annotations.*"},
}

var (
	selector   = []string{"matchLabels.*", "matchExpressions[].key", "matchExpressions[].operator", "matchExpressions[].values[]"}
	policyPort = []string{"protocol", "port", "endPort"}
	policyPeer = slices.Concat(under("podSelector.", selector), under("namespaceSelector.", selector), []string{"ipBlock.cidr", "ipBlock.except[]"})
)

var podSpec = []string{
	"containers[].name", "containers[].image", "containers[].command[]", "containers[].args[]",
	"containers[].volumeMounts[].name", "containers[].volumeMounts[].mountPath", "containers[].volumeMounts[].subPath",
	"containers[].volumeMounts[].readOnly", "volumes[].name", "volumes[].configMap.name",
	"containers[].ports[].name", "containers[].ports[].containerPort", "containers[].ports[].protocol",
	"nodeName", "dnsPolicy", "dnsConfig.nameservers[]", "dnsConfig.searches[]", "dnsConfig.options[].name", "dnsConfig.options[].value",
}

func under(prefix string, fields []string) []string {
	var all []string
	for _, field := range fields {
		all = append(all, prefix+field)
	}
	return all
}

// unsupported returns an error for every field of an object that the lab does not understand.
func unsupported(object []byte) []error {
	var fields map[string]any
	if err := json.Unmarshal(object, &fields); err != nil {
		return []error{err}
	}
	kind, _ := fields["kind"].(string)
	metadata, _ := fields["metadata"].(map[string]any)
	name, _ := metadata["name"].(string)
	known, ok := supported[kind]
	if !ok {
		return []error{fmt.Errorf("%s %s: the lab has no objects of this kind, only %s", kind, name, strings.Join(slices.Sorted(maps.Keys(supported)), ", "))}
	}
	var errs []error
	for _, path := range leaves("", fields) {
		if !slices.ContainsFunc(known, func(pattern string) bool { return matches(pattern, path) }) {
			errs = append(errs, fmt.Errorf("%s %s: %s: the lab does not understand this field", kind, name, display(path)))
		}
	}
	return errs
}

// leaf separates the parts of a path, because label keys have dots of their own.
const leaf = "\x00"

// leaves lists the paths of all fields that have a value, sorted. An empty object or list counts as a value.
func leaves(path string, value any) []string {
	var all []string
	switch v := value.(type) {
	case map[string]any:
		if len(v) == 0 {
			all = append(all, strings.TrimPrefix(path, leaf))
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			all = append(all, leaves(path+leaf+key, v[key])...)
		}
	case []any:
		if len(v) == 0 {
			all = append(all, strings.TrimPrefix(path, leaf)+"[]")
		}
		for _, item := range v {
			all = append(all, leaves(path+"[]", item)...)
		}
	default:
		return []string{strings.TrimPrefix(path, leaf)}
	}
	return slices.Compact(slices.Sorted(slices.Values(all)))
}

func display(path string) string { return strings.ReplaceAll(path, leaf, ".") }

// matches is whether a path is that of a pattern, or (of an empty object) leads to it.
func matches(pattern, path string) bool {
	want, have := strings.Split(pattern, "."), strings.Split(path, leaf)
	return len(want) >= len(have) && slices.EqualFunc(want[:len(have)], have, func(w, h string) bool { return w == "*" || w == h })
}
