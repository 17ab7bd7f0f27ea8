package cni

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// calico connects the nodes by VXLAN, without BGP, and enforces NetworkPolicies with iptables rules, in chains named cali-*.
var calico = Plugin{Overlay: true, Policies: true, DropsInvalid: true, Published: &Published{
	Version: calicoVersion, Prefix: "calico-", File: "calico-" + calicoVersion + ".yaml", SHA256: calicoManifest, Images: calicoImages,
	URL:     "https://raw.githubusercontent.com/projectcalico/calico/" + calicoVersion + "/manifests/calico.yaml",
	Objects: calicoObjects,
}}

// calicoObjects changes the manifest as Calico's documentation describes it for VXLAN ("Switching from IP-in-IP to VXLAN") and for a pod
// network of its own. Felix's metrics are on at port 9091. On nodes whose reverse path filter is loose, Felix would not start.
func calicoObjects(manifest []byte, in Settings) ([]*unstructured.Unstructured, error) {
	all, err := parse(manifest)
	if err != nil {
		return nil, err
	}
	config, err := find(all, "ConfigMap", "calico-config")
	if err != nil {
		return nil, err
	}
	if err := unstructured.SetNestedField(config.Object, "vxlan", "data", "calico_backend"); err != nil {
		return nil, err
	}
	daemons, err := find(all, "DaemonSet", "calico-node")
	if err != nil {
		return nil, err
	}
	for _, c := range containers(daemons) {
		if c["name"] != "calico-node" {
			continue
		}
		for name, value := range map[string]string{
			"CALICO_IPV4POOL_IPIP": "Never", "CALICO_IPV4POOL_VXLAN": "Always", "CALICO_IPV4POOL_CIDR": in.PodCIDR,
			"FELIX_PROMETHEUSMETRICSENABLED": "true", "FELIX_IGNORELOOSERPF": "true",
		} {
			setEnv(c, name, value)
		}
		for _, probe := range []string{"livenessProbe", "readinessProbe"} {
			command, found, err := unstructured.NestedStringSlice(c, probe, "exec", "command")
			if err != nil || !found {
				return nil, fmt.Errorf("DaemonSet calico-node has no %s with a command", probe)
			}
			command = slices.DeleteFunc(command, func(word string) bool { return word == "-bird-live" || word == "-bird-ready" })
			if err := unstructured.SetNestedStringSlice(c, command, probe, "exec", "command"); err != nil {
				return nil, err
			}
		}
		return all, nil
	}
	return nil, fmt.Errorf("DaemonSet calico-node has no container calico-node")
}

// setEnv sets a variable of a container.
func setEnv(container map[string]any, name, value string) {
	env, _ := container["env"].([]any)
	variable := map[string]any{"name": name, "value": value}
	for i := range env {
		if fields, ok := env[i].(map[string]any); ok && fields["name"] == name {
			env[i] = variable
			return
		}
	}
	container["env"] = append(env, variable)
}
