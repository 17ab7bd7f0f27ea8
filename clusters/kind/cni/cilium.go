package cni

import (
	"bytes"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	chartutil "helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// cilium connects the nodes by VXLAN and enforces NetworkPolicies with eBPF programs. Without kube-proxy it does its work too.
var cilium = Plugin{Overlay: true, Policies: true, Flows: hubble, EBPF: true, CutsConnections: true, ReplacesProxy: true, Published: &Published{
	Version: ciliumVersion, Prefix: "cilium-", File: "cilium-" + ciliumVersion + ".tgz", SHA256: ciliumChart, Images: ciliumImages,
	URL:     "https://helm.cilium.io/cilium-" + ciliumVersion + ".tgz",
	Objects: ciliumObjects,
}}

// ciliumObjects are what helm install would create in the namespace kube-system.
func ciliumObjects(archive []byte, in Settings) ([]*unstructured.Unstructured, error) {
	chart, err := loader.LoadArchive(bytes.NewReader(archive))
	if err != nil {
		return nil, err
	}
	if chart.Metadata.Version != ciliumVersion {
		return nil, fmt.Errorf("the version of the chart is %s, and relapse installs %s", chart.Metadata.Version, ciliumVersion)
	}
	version, err := common.ParseKubeVersion(in.Kubernetes)
	if err != nil {
		return nil, fmt.Errorf("version of Kubernetes: %w", err)
	}
	cluster := common.DefaultCapabilities.Copy()
	cluster.KubeVersion = *version
	release := common.ReleaseOptions{Name: "cilium", Namespace: "kube-system", Revision: 1, IsInstall: true}
	values, err := chartutil.ToRenderValues(chart, ciliumValues(in), release, cluster)
	if err != nil {
		return nil, err
	}
	files, err := engine.Render(chart, values)
	if err != nil {
		return nil, err
	}
	var all []*unstructured.Unstructured
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if path.Ext(name) != ".yaml" || strings.HasPrefix(path.Base(name), "_") {
			continue // notes for people, and parts of others
		}
		some, err := parse([]byte(files[name]))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, some...)
	}
	return all, nil
}

// ciliumValues are the values for the chart. Images have only a tag, because an archive loses its image's digest. Envoy and Hubble's
// relay, which more than one node's observer needs, are left out. Metrics are at port 9962.
func ciliumValues(in Settings) map[string]any {
	type object = map[string]any
	tagged := object{"useDigest": false, "pullPolicy": "IfNotPresent"}
	values := object{
		"ipam": object{"mode": "kubernetes"}, "image": tagged, "operator": object{"replicas": 1, "image": tagged}, "envoy": object{"enabled": false},
		"prometheus": object{"enabled": true},
		"hubble":     hubbleValues(),
	}
	if in.Proxy == "none" {
		values["kubeProxyReplacement"] = true
		values["k8sServiceHost"], values["k8sServicePort"] = in.Server, 6443
	}
	return values
}
