package cni

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// manifest has what relapse changes in Calico's manifest, in our own words.
const manifest = `
kind: ConfigMap
apiVersion: v1
metadata: {name: calico-config, namespace: kube-system}
data: {calico_backend: bird}
---
# nothing
---
kind: DaemonSet
apiVersion: apps/v1
metadata: {name: calico-node, namespace: kube-system}
spec:
  selector: {matchLabels: {k8s-app: calico-node}}
  template:
    spec:
      initContainers: [{name: install-cni, image: "docker.io/calico/cni:` + calicoVersion + `"}]
      containers:
        - name: calico-node
          image: docker.io/calico/node:` + calicoVersion + `
          env: [{name: CALICO_IPV4POOL_IPIP, value: Always}]
          securityContext: {capabilities: {add: [NET_ADMIN, SYS_RESOURCE]}}
          livenessProbe: {exec: {command: [/bin/calico-node, -felix-live, -bird-live]}}
          readinessProbe: {exec: {command: [/bin/calico-node, -felix-ready, -bird-ready]}}
`

// imagesOf lists the images that objects name, once each.
func imagesOf(all []*unstructured.Unstructured) (images []string) {
	for _, object := range all {
		for _, c := range containers(object) {
			if image, _ := c["image"].(string); image != "" && !slices.Contains(images, image) {
				images = append(images, image)
			}
		}
	}
	return images
}

func TestCalicoUsesVXLAN(t *testing.T) {
	g := NewWithT(t)
	all, err := calicoObjects([]byte(manifest), Settings{PodCIDR: "10.244.0.0/16"})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(all).To(HaveLen(2))
	backend, _, _ := unstructured.NestedString(all[0].Object, "data", "calico_backend")
	g.Expect(backend).To(Equal("vxlan"))
	node := containers(all[1])[1]
	g.Expect(node["env"]).To(ConsistOf(
		map[string]any{"name": "CALICO_IPV4POOL_IPIP", "value": "Never"}, map[string]any{"name": "CALICO_IPV4POOL_VXLAN", "value": "Always"},
		map[string]any{"name": "CALICO_IPV4POOL_CIDR", "value": "10.244.0.0/16"}, map[string]any{"name": "FELIX_IGNORELOOSERPF", "value": "true"},
		map[string]any{"name": "FELIX_PROMETHEUSMETRICSENABLED", "value": "true"},
	))
	ready, _, _ := unstructured.NestedStringSlice(node, "readinessProbe", "exec", "command")
	g.Expect(ready).To(Equal([]string{"/bin/calico-node", "-felix-ready"}))
	g.Expect(imagesOf(all)).To(Equal([]string{"docker.io/calico/cni:" + calicoVersion, "docker.io/calico/node:" + calicoVersion}))

	_, err = calicoObjects([]byte("kind: ConfigMap\nmetadata: {name: other}"), Settings{})
	g.Expect(err).To(MatchError("it has no ConfigMap calico-config"))
}

func TestCapabilitiesThatNodesDoNotHave(t *testing.T) {
	g := NewWithT(t)
	all, err := parse([]byte(manifest))
	g.Expect(err).NotTo(HaveOccurred())
	most := capabilities(1<<41 - 1)
	g.Expect(dropCapabilities(all, most.has)).To(BeEmpty())
	g.Expect(dropCapabilities(all, (most &^ (1 << 24)).has)).To(Equal([]string{"SYS_RESOURCE"}))
	left, _, _ := unstructured.NestedStringSlice(containers(all[1])[1], "securityContext", "capabilities", "add")
	g.Expect(left).To(Equal([]string{"NET_ADMIN"}))
	g.Expect(capabilities(0).has("CAP_NET_ADMIN")).To(BeFalse())
	g.Expect(capabilities(0).has("CAP_FROM_THE_FUTURE")).To(BeTrue(), "the container runtime says what is wrong with it")
}

// chart packs a chart with the values that matter, in our own words.
func chart(t *testing.T, version string) []byte {
	t.Helper()
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	files := tar.NewWriter(zipped)
	for name, text := range map[string]string{
		"Chart.yaml":  "apiVersion: v2\nname: cilium\nversion: " + version + "\n",
		"values.yaml": "kubeProxyReplacement: false\nk8sServiceHost: ''\nhubble: {enabled: false}\nimage: {repository: quay.io/cilium/cilium, useDigest: true, digest: 'sha256:12'}\n",
		"templates/agent.yaml": `{{- if .Values.hubble.enabled }}
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: cilium, namespace: {{ .Release.Namespace }}}
spec:
  selector: {matchLabels: {k8s-app: cilium}}
  template: {spec: {containers: [{name: agent, image: "{{ .Values.image.repository }}:v` + version + `{{ if .Values.image.useDigest }}@{{ .Values.image.digest }}{{ end }}", env: [{name: HOST, value: "{{ .Values.k8sServiceHost }}"}, {name: KPR, value: "{{ .Values.kubeProxyReplacement }}"}]}]}}
{{- end }}
`,
		"templates/NOTES.txt": "thank you",
	} {
		if err := files.WriteHeader(&tar.Header{Name: "cilium/" + name, Mode: 0o644, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := files.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := files.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zipped.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestCiliumIsRendered(t *testing.T) {
	g := NewWithT(t)
	env := func(proxy string) any {
		all, err := ciliumObjects(chart(t, ciliumVersion), Settings{Proxy: proxy, Server: "172.18.0.2", Kubernetes: "v1.36.3"})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(all).To(HaveLen(1))
		g.Expect(all[0].GetNamespace()).To(Equal("kube-system"))
		g.Expect(imagesOf(all)).To(Equal([]string{"quay.io/cilium/cilium:v" + ciliumVersion}), "without a digest")
		return containers(all[0])[0]["env"]
	}
	g.Expect(env("nftables")).To(Equal([]any{map[string]any{"name": "HOST", "value": ""}, map[string]any{"name": "KPR", "value": "false"}}))
	g.Expect(env("none")).To(Equal([]any{map[string]any{"name": "HOST", "value": "172.18.0.2"}, map[string]any{"name": "KPR", "value": "true"}}))
	_, err := ciliumObjects(chart(t, "1.19.0"), Settings{Kubernetes: "v1.36.3"})
	g.Expect(err).To(MatchError("the version of the chart is 1.19.0, and relapse installs " + ciliumVersion))
}

func TestFilesFromAFolder(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	p := cilium.Published
	read := func() error {
		_, err := p.Read(t.Context(), dir, nil)
		return err
	}
	bring := "curl -fL -o " + filepath.Join(dir, p.File) + " " + p.URL
	g.Expect(read()).To(MatchError("folder " + dir + " has no " + p.File + ": " + bring))
	other := filepath.Join(dir, "cilium-1.19.0.tgz")
	g.Expect(os.WriteFile(other, nil, 0o644)).To(Succeed())
	g.Expect(os.WriteFile(filepath.Join(dir, "cilium-agent.tgz"), nil, 0o644)).To(Succeed(), "an image archive")
	g.Expect(read()).To(MatchError(other + " is not the version that relapse installs: " + p.File + " is needed: " + bring))
	g.Expect([]bool{IsFile(other), IsFile("calico-v3.1.0.yaml"), IsFile("cilium-agent.tgz"), IsFile("cilium.tar"), IsFile("cilium-")}).To(Equal([]bool{true, true, false, false, false}))
	g.Expect(os.WriteFile(filepath.Join(dir, p.File), []byte("x"), 0o644)).To(Succeed())
	text, err := p.Read(t.Context(), dir, nil)
	g.Expect(string(text), err).To(Equal("x"))
	g.Expect(p.Changed(text)).To(BeTrue())
}

func TestFilesFromTheProject(t *testing.T) {
	g := NewWithT(t)
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	answer := func(w http.ResponseWriter) { fmt.Fprint(w, "kind: ConfigMap") }
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		answer(w)
	}))
	defer server.Close()
	p := &Published{File: "calico-v1.yaml", URL: server.URL, SHA256: fmt.Sprintf("%x", sha256.Sum256([]byte("kind: ConfigMap")))}
	read := func(ctx context.Context) (string, error) {
		text, err := p.Read(ctx, "", func(string) {})
		return string(text), err
	}
	for range 2 {
		text, err := read(t.Context())
		g.Expect(text, err).To(Equal("kind: ConfigMap"))
	}
	g.Expect(asked).To(Equal(1), "it is kept")

	p.File = "calico-v2.yaml"
	answer = func(w http.ResponseWriter) { fmt.Fprint(w, "kind: Pod") }
	_, err := read(t.Context())
	g.Expect(err).To(MatchError(And(HavePrefix(server.URL+": its SHA-256 is "), HaveSuffix("; or --images with a folder that has calico-v2.yaml"))))
	answer = func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotFound) }
	_, err = read(t.Context())
	g.Expect(err).To(MatchError(ContainSubstring("404 Not Found")))
	server.Close()
	_, err = read(t.Context())
	g.Expect(err).To(MatchError(ContainSubstring("connection refused")))
}
