package cni

import (
	"encoding/json"
	"strings"

	"github.com/relapse-k8s/relapse/clusters/logs"
)

// FlowLog is a log of a plugin's pods, one on each node, that has the packets which network policies dropped.
type FlowLog struct {
	// Selector and Container are those of the pods, in the namespace kube-system.
	Selector, Container string
	// Drop reads a line.
	Drop func(line string) (logs.Drop, bool)
}

// hubble has Cilium's agents write the dropped flows to their logs, as JSON.
// Source: Cilium Documentation/observability/hubble/configuration/export.rst.
var hubble = &FlowLog{Selector: "k8s-app=cilium", Container: "cilium-agent", Drop: hubbleDrop}

// hubbleValues are the values for the chart that do so.
func hubbleValues() map[string]any {
	return map[string]any{
		"enabled": true, "relay": map[string]any{"enabled": false}, "ui": map[string]any{"enabled": false}, "tls": map[string]any{"enabled": false},
		"export": map[string]any{"static": map[string]any{
			"enabled": true, "filePath": "stdout", "allowList": []any{`{"verdict":["DROPPED"]}`},
		}},
	}
}

// hubbleFlow is what is read of a flow. Source: Cilium api/v1/flow/flow.proto.
type hubbleFlow struct {
	Verdict   string   `json:"verdict"`
	Reason    string   `json:"drop_reason_desc"`
	Direction string   `json:"traffic_direction"`
	IP        hubbleIP `json:"IP"`
	L4        map[string]struct {
		Port uint16 `json:"destination_port"`
	} `json:"l4"`
	Source        hubbleEndpoint `json:"source"`
	Destination   hubbleEndpoint `json:"destination"`
	IngressDenied []hubblePolicy `json:"ingress_denied_by"`
	EgressDenied  []hubblePolicy `json:"egress_denied_by"`
}

type hubbleIP struct {
	Source      string `json:"source"`
	Destination string `json:"destination"`
}

type hubbleEndpoint struct {
	Namespace string `json:"namespace"`
	Pod       string `json:"pod_name"`
}

type hubblePolicy struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// hubbleDrop reads a dropped flow. A packet that no policy allows has the reason POLICY_DENIED and names none; one that a policy denies
// has POLICY_DENY and names it.
func hubbleDrop(line string) (logs.Drop, bool) {
	var entry struct {
		Flow hubbleFlow `json:"flow"`
	}
	if !strings.HasPrefix(line, `{"flow":`) || json.Unmarshal([]byte(line), &entry) != nil {
		return logs.Drop{}, false
	}
	flow := entry.Flow
	if flow.Verdict != "DROPPED" || flow.Reason != "POLICY_DENIED" && flow.Reason != "POLICY_DENY" {
		return logs.Drop{}, false
	}
	mine, other := flow.Destination, flow.Source
	drop := logs.Drop{Direction: strings.ToLower(flow.Direction), Address: flow.IP.Source}
	policies := flow.IngressDenied
	if drop.Direction == "egress" {
		mine, other, drop.Address, policies = flow.Source, flow.Destination, flow.IP.Destination, flow.EgressDenied
	}
	drop.Namespace, drop.Pod = mine.Namespace, mine.Pod
	if other.Pod != "" {
		drop.Peer = other.Namespace + "/" + other.Pod
	}
	for _, policy := range policies {
		drop.Policies = append(drop.Policies, policy.Namespace+"/"+policy.Name)
	}
	for protocol, header := range flow.L4 {
		drop.Protocol, drop.Port = strings.ToLower(protocol), header.Port
	}
	return drop, mine.Pod != ""
}
