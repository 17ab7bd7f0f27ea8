package provision

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
)

func TestPublishedImages(t *testing.T) {
	g := NewWithT(t)
	f := newFake(t)
	engine, err := findEngine(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	m := &maker{Cluster: &Cluster{engine: engine}}
	const image, digest = "quay.io/cilium/cilium:v1", "sha256:12"

	g.Expect(m.pull(t.Context(), image, digest)).To(Succeed())
	log, err := os.ReadFile(filepath.Join(f.dir, "log"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(log)).To(ContainSubstring("\npull --quiet quay.io/cilium/cilium@sha256:12\ntag quay.io/cilium/cilium@sha256:12 " + image + "\n"))
	f.write("fails", "pull")
	g.Expect(m.pull(t.Context(), image, digest)).To(Succeed(), "the engine has it")
	g.Expect(m.pull(t.Context(), "docker.io/calico/node:v1", "")).To(MatchError(And(
		HavePrefix("image docker.io/calico/node:v1: docker pull"), ContainSubstring("told to fail"), HaveSuffix("; or --images with a folder that has its archive"))))
	m.Spec.Folder = "/archives"
	g.Expect(m.pull(t.Context(), "docker.io/calico/node:v1", "")).To(MatchError(
		"no archive in /archives has the image docker.io/calico/node:v1: docker pull docker.io/calico/node:v1 && docker save -o /archives/docker.io-calico-node-v1.tar docker.io/calico/node:v1"))

	dir := t.TempDir()
	g.Expect(m.saveImages(t.Context(), dir)).To(BeEmpty())
	m.engines = []string{image}
	archives, err := m.saveImages(t.Context(), dir)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(archives).To(HaveLen(1))
	saved, err := os.ReadFile(archives[0])
	g.Expect(string(saved), err).To(HaveSuffix(" " + image + "\n"))
	g.Expect(fullName("calico/node:v1")).To(Equal("index.docker.io/calico/node:v1"), "as docker save names it")
	g.Expect(fullName("docker.io/calico/node:v1")).To(Equal("index.docker.io/calico/node:v1"))
}
