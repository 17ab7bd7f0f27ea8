package agents_test

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"

	"github.com/relapse-k8s/relapse/clusters/agent/undo/nstest"
	"github.com/relapse-k8s/relapse/clusters/images"
	"github.com/relapse-k8s/relapse/clusters/kind/agents"
)

// bin is the folder of relapse's programs.
func bin(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("RELAPSE_BIN")
	if dir == "" {
		dir, _ = filepath.Abs("../../../bin")
	}
	for _, program := range []string{"relapse-agent", "relapse-coredns"} {
		if _, err := os.Stat(filepath.Join(dir, program)); err != nil {
			t.Skipf("needs the programs of make build: %v", err)
		}
	}
	return dir
}

func build(t *testing.T) *agents.Image {
	t.Helper()
	image, err := agents.Build(t.Context(), bin(t))
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func TestTheSameFilesMakeTheSameImage(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	programs := bin(t)
	for _, name := range []string{"relapse-agent", "relapse-coredns"} {
		g.Expect(os.Symlink(filepath.Join(programs, name), filepath.Join(dir, name))).To(Succeed())
	}
	again, err := agents.Build(t.Context(), dir)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(again.Ref()).To(Equal(build(t).Ref()))
	g.Expect(again.Ref()).To(MatchRegexp(`^relapse\.dev/agent:sha-[0-9a-f]{12}$`))

	g.Expect(os.Remove(filepath.Join(dir, "relapse-coredns"))).To(Succeed())
	_, err = agents.Build(t.Context(), dir)
	g.Expect(err).To(MatchError(And(ContainSubstring("relapse-coredns"), ContainSubstring("make build"))))
	g.Expect(os.WriteFile(filepath.Join(dir, "relapse-coredns"), []byte("another"), 0o755)).To(Succeed())
	other, err := agents.Build(t.Context(), dir)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(other.Ref()).NotTo(Equal(again.Ref()))
}

// unpack makes a folder of the saved image, as a runtime does.
func unpack(t *testing.T, image *agents.Image) string {
	t.Helper()
	g := NewWithT(t)
	archive := filepath.Join(t.TempDir(), "agent.tar")
	g.Expect(image.Save(archive)).To(Succeed())
	saved, err := tarball.ImageFromPath(archive, nil)
	g.Expect(err).NotTo(HaveOccurred())
	root := t.TempDir()
	content := mutate.Extract(saved)
	defer content.Close()
	for files := tar.NewReader(content); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return root
		}
		g.Expect(err).NotTo(HaveOccurred())
		path := filepath.Join(root, header.Name)
		switch header.Typeflag {
		case tar.TypeDir:
			g.Expect(os.MkdirAll(path, 0o755)).To(Succeed())
		case tar.TypeSymlink:
			g.Expect(os.Symlink(header.Linkname, path)).To(Succeed())
		case tar.TypeReg:
			file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, os.FileMode(header.Mode))
			g.Expect(err).NotTo(HaveOccurred())
			_, err = io.Copy(file, files)
			g.Expect(errors.Join(err, file.Close())).To(Succeed())
		}
	}
}

// within is a command in an unpacked image, with nothing of this machine's but the kernel.
func within(t *testing.T, root string, words ...string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), "/bin/sh", append([]string{"-c", `exec "$@"`, "sh"}, words...)...)
	cmd.Dir, cmd.Env = "/", []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Pdeathsig: syscall.SIGKILL}
	return cmd
}

const corefile = `.:53 {
    template IN A web.default.svc.cluster.local {
        answer "{{ .Name }} 5 IN A 10.96.0.7"
    }
    template IN AAAA web.default.svc.cluster.local {
        rcode NOERROR
    }
    template ANY ANY . {
        rcode NXDOMAIN
    }
}
`

func TestTheImageRunsWithNothingElse(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	g := NewWithT(t)
	image := build(t)
	root := unpack(t, image)
	g.Expect(syscall.Mount("/proc", filepath.Join(root, "proc"), "", syscall.MS_BIND|syscall.MS_REC, "")).To(Succeed())
	t.Cleanup(func() { g.Expect(syscall.Unmount(filepath.Join(root, "proc"), syscall.MNT_DETACH)).To(Succeed()) })
	null, err := os.Create(filepath.Join(root, "dev", "null"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(null.Close()).To(Succeed())
	run := func(command string) string {
		t.Helper()
		output, err := within(t, root, strings.Fields(command)...).CombinedOutput()
		g.Expect(err).NotTo(HaveOccurred(), "%s: %s", command, output)
		return string(output)
	}
	run("iptables -t nat -A POSTROUTING -m comment --comment c -m statistic --mode random --probability 0.5 -j MASQUERADE --random-fully")
	g.Expect(run("iptables-save")).To(ContainSubstring("-m statistic --mode random"))
	g.Expect(run("iptables-save -c")).To(ContainSubstring("--random-fully"))
	run("nft add table ip relapse_test")
	g.Expect(run("nft list ruleset")).To(ContainSubstring("table ip relapse_test"))
	g.Expect(run("sysctl net.ipv4.ip_forward")).To(Equal("net.ipv4.ip_forward = 0\n"))
	g.Expect(run("ip route")).To(BeEmpty())
	g.Expect(run("ip -s link")).To(ContainSubstring("LOOPBACK"))
	g.Expect(run("ss -s")).To(ContainSubstring("TCP:"))
	run("conntrack -S")
	run("conntrack -L -p udp")
	for name, version := range image.Programs() {
		path, err := images.Find(name)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(run(path + " " + map[string]string{"nginx": "-v", "haproxy": "-v", "envoy": "--version"}[name])).To(ContainSubstring(version))
	}
	if _, ok := image.Programs()["nginx"]; ok {
		run("nginx -t")
	}

	// A lookup through the C library, by the search domains of the pod's resolv.conf.
	g.Expect(os.WriteFile(filepath.Join(root, "Corefile"), []byte(corefile), 0o644)).To(Succeed())
	g.Expect(os.WriteFile(filepath.Join(root, "etc", "resolv.conf"), []byte("search default.svc.cluster.local\nnameserver 127.0.0.1\noptions ndots:5\n"), 0o644)).To(Succeed())
	g.Expect(os.WriteFile(filepath.Join(root, "etc", "hosts"), []byte("10.1.2.3 other\n"), 0o644)).To(Succeed())
	dns := within(t, root, "/relapse-coredns", "--conf", "/Corefile")
	stdin, err := dns.StdinPipe()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(dns.Start()).To(Succeed())
	t.Cleanup(func() { stdin.Close(); _ = dns.Process.Kill(); _ = dns.Wait() })
	g.Eventually(func() (string, error) {
		output, err := within(t, root, "/relapse-agent", "lookup", "web").Output()
		return string(output), err
	}, time.Minute).Should(ContainSubstring(`"Addresses":["10.96.0.7"]`))
	nstest.Must(t, "ip addr add 10.9.0.1/32 dev lo") // getent asks only for families that there is an address of
	g.Expect(run("getent ahostsv4 web")).To(ContainSubstring("10.96.0.7"))
	g.Expect(run("/relapse-agent lookup other")).To(ContainSubstring(`"Addresses":["10.1.2.3"]`))
	g.Expect(run("/relapse-agent lookup nobody")).To(And(ContainSubstring("no such host"), ContainSubstring(`"NotFound":true`)))
}

func TestContainRewritesAPod(t *testing.T) {
	g := NewWithT(t)
	image := build(t)
	if _, ok := image.Programs()["nginx"]; !ok {
		t.Skip("needs nginx")
	}
	nginx, err := images.Find("nginx")
	g.Expect(err).NotTo(HaveOccurred())
	pod := corev1.PodSpec{
		Containers: []corev1.Container{
			{Name: "proxy", Image: "nginx", Command: []string{"nginx"}, Args: []string{"-c", "/run/proxy/nginx.conf"}, VolumeMounts: []corev1.VolumeMount{
				{Name: "config", MountPath: "/run/proxy/", ReadOnly: true}, {Name: "config", MountPath: "/etc/motd", SubPath: "motd"}, {Name: "scratch", MountPath: "/scratch"},
			}},
			{Name: "idle", Image: "relapse"},
			{Name: "web", Image: "relapse", Args: []string{"http", ":8080"}},
		},
		Volumes: []corev1.Volume{
			{Name: "config", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "c"}}}},
			{Name: "scratch", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
		},
	}
	g.Expect(image.Contain(&pod)).To(Succeed())
	for _, c := range pod.Containers {
		g.Expect(c.Image).To(Equal(image.Ref()))
		g.Expect(c.ImagePullPolicy).To(Equal(corev1.PullNever))
		g.Expect(c.Command).To(Equal([]string{"/relapse-agent", "contain"}))
	}
	words := func(n int) string { return strings.Join(pod.Containers[n].Args, " ") }
	g.Expect(words(0)).To(Equal("proxy command=1 copy=/run/relapse/given/config:/run/proxy copy=/run/relapse/given/config/motd:/etc/motd -- " + nginx + " -c /run/proxy/nginx.conf"))
	g.Expect(words(1)).To(Equal("idle command=1 -- /relapse-agent pause"))
	g.Expect(words(2)).To(Equal("web command=1 -- /relapse-agent http :8080"))
	g.Expect(pod.Containers[0].VolumeMounts).To(ConsistOf(
		corev1.VolumeMount{Name: "config", MountPath: "/run/relapse/given/config", ReadOnly: true},
		corev1.VolumeMount{Name: "relapse-copy-1", MountPath: "/run/proxy/"},
		corev1.VolumeMount{Name: "scratch", MountPath: "/scratch"},
	))
	g.Expect(pod.Volumes).To(HaveLen(3))
	g.Expect(pod.Volumes[2].EmptyDir).NotTo(BeNil())

	other := corev1.PodSpec{Containers: []corev1.Container{{Name: "x", Image: "busybox", Args: []string{"sleep"}}}}
	g.Expect(image.Contain(&other)).To(Succeed())
	g.Expect(other.Containers[0]).To(Equal(corev1.Container{Name: "x", Image: "busybox", Args: []string{"sleep"}, ImagePullPolicy: corev1.PullIfNotPresent}), "it is the real one")
	g.Expect(image.Contain(&corev1.PodSpec{Containers: []corev1.Container{{Name: "x", Image: "node"}}})).To(MatchError(ContainSubstring("the agent's image has no node")))
}
