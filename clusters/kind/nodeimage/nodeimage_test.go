// Package nodeimage_test starts the node image that make node-image has put into the engine, as kind does.
package nodeimage_test

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/agent/containers"
)

const repository = "relapse.dev/node"

// images are those of the engine: one for each version of Kubernetes, without the tags that say what went into it.
func images(t *testing.T) []string {
	t.Helper()
	if os.Getenv("RELAPSE_TEST_KIND") == "" {
		t.Skip("RELAPSE_TEST_KIND=1 lets it start containers")
	}
	list, err := exec.Command("docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", repository).CombinedOutput()
	if err != nil {
		t.Skipf("no engine answers: %s", strings.TrimSpace(string(list)))
	}
	found := regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(repository)+`:v[0-9.]+$`).FindAllString(string(list), -1)
	if len(found) == 0 {
		t.Skipf("the engine has no %s: make node-image", repository)
	}
	return found
}

// try runs the client, and returns what it prints.
func try(args ...string) (string, error) {
	out, err := exec.Command("docker", args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("docker %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

func docker(t *testing.T, args ...string) string {
	t.Helper()
	out, err := try(args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// start runs a node on a network of its own, and returns its name when systemd has started all that it starts. By their labels
// relapse clean finds both, where this is killed: they are what a cluster without its own network has left.
func start(t *testing.T, image string) string {
	t.Helper()
	name := fmt.Sprintf("relapse-nodeimage-%d", os.Getpid())
	instance := containers.LabelInstance + "=none"
	t.Cleanup(func() { docker(t, "network", "rm", name) })
	docker(t, "network", "create", "--label", instance, name)
	t.Cleanup(func() { docker(t, "rm", "--force", "--volumes", name) })
	docker(t, "run", "--detach", "--tty", "--privileged", "--cgroupns", "private", "--net", name, "--name", name, "--hostname", name,
		"--label", instance, "--label", containers.LabelKindCluster+"="+name, "--tmpfs", "/tmp", "--tmpfs", "/run", "--volume", "/var", image)
	NewWithT(t).Eventually(func() (string, error) { return try("exec", name, "systemctl", "is-system-running") }).
		WithTimeout(time.Minute).WithPolling(200 * time.Millisecond).Should(Equal("running"))
	return name
}

// machine reads the sysctls that a kubelet or a systemd would set for the whole machine.
func machine(t *testing.T) map[string]string {
	t.Helper()
	values := map[string]string{}
	for _, key := range []string{
		"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys",
		"kernel/keys/root_maxbytes", "kernel/sysrq", "kernel/core_uses_pid", "kernel/pid_max", "fs/protected_hardlinks",
	} {
		if text, err := os.ReadFile("/proc/sys/" + key); err == nil {
			values[key] = string(text)
		}
	}
	return values
}

func TestANodeStarts(t *testing.T) {
	for _, image := range images(t) {
		t.Run(strings.TrimPrefix(image, repository+":"), func(t *testing.T) {
			g := NewWithT(t)
			before := machine(t)
			name := start(t, image)
			node := func(args ...string) string {
				t.Helper()
				return docker(t, append([]string{"exec", name}, args...)...)
			}
			g.Expect(node("systemctl", "is-active", "containerd")).To(Equal("active"))

			version := node("cat", "/kind/version")
			g.Expect(image).To(HaveSuffix(":" + version))
			g.Expect(node("kubelet", "--version")).To(Equal("Kubernetes " + version))

			// Every image that kubeadm asks for is there by its name, and has what a container needs to start.
			wanted := strings.Fields(node("kubeadm", "config", "images", "list", "--kubernetes-version", version))
			g.Expect(strings.Fields(node("ctr", "--namespace", "k8s.io", "images", "ls", "--quiet"))).To(ContainElements(wanted))
			for _, name := range wanted {
				if strings.Contains(name, "/kube-") {
					program := regexp.MustCompile(`[^/]*:`).FindString(name)
					g.Expect(node("ctr", "--namespace", "k8s.io", "run", "--rm", name, "test", strings.TrimSuffix(program, ":"), "--version")).
						To(ContainSubstring(version))
				}
			}

			// Pods get the node's resolv.conf: its nameserver must be one that they can reach.
			g.Expect(node("cat", "/etc/resolv.conf")).NotTo(ContainSubstring("nameserver 127."))
			g.Expect(node("getent", "ahostsv4", node("hostname"))).To(ContainSubstring("STREAM"))

			g.Expect(machine(t)).To(Equal(before), "sysctls of the whole machine")
		})
	}
}
