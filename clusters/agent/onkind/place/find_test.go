package place

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

func TestCgroupsOfContainers(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 4)
	node := strings.Repeat("f", 64)
	const uid = "0a1b2c3d-0011-2233-4455-66778899aabb"
	hash := strings.Repeat("ab", 16) // of a static pod
	for name, test := range map[string]struct{ text, pod, container string }{
		"systemd, v2":           {"0::/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod0a1b2c3d_0011_2233_4455_66778899aabb.slice/cri-containerd-" + id + ".scope\n", uid, id},
		"seen from a sibling":   {"0::/../../kubelet-kubepods-besteffort-pod0a1b2c3d_0011_2233_4455_66778899aabb.slice/cri-containerd-" + id + ".scope\n", uid, id},
		"cgroupfs, v1":          {"9:name=systemd:/docker/" + node + "/kubelet/kubepods/burstable/pod" + uid + "/" + id + "\n4:memory:/docker/" + node + "/kubelet/kubepods/burstable/pod" + uid + "/" + id + "\n0::/docker/" + node + "\n", uid, id},
		"guaranteed, CRI-O":     {"0::/kubepods.slice/kubepods-pod0a1b2c3d_0011_2233_4455_66778899aabb.slice/crio-" + id + ".scope/container\n", uid, id},
		"static pod":            {"0::/kubelet/kubepods/pod" + hash + "/" + id + "\n", hash, id},
		"the node itself":       {"0::/docker/" + node + "/system.slice/containerd.service\n", "", ""},
		"a pod's own cgroup":    {"0::/kubelet/kubepods/pod" + uid + "\n", "", ""},
		"a process of nobody's": {"0::/\n", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			pod, container, ok := parseCgroup(test.text)
			g.Expect(ok).To(Equal(test.container != ""))
			g.Expect([]string{pod, container}).To(Equal([]string{test.pod, test.container}))
		})
	}
}

func TestContainerIDs(t *testing.T) {
	g := NewWithT(t)
	id := strings.Repeat("0123456789abcdef", 4)
	g.Expect(ParseID("containerd://" + id)).To(Equal(id))
	g.Expect(ParseID(id)).To(Equal(id))
	for _, wrong := range []string{"", "containerd://", id[:12], strings.ToUpper(id), id + "0"} {
		_, err := ParseID(wrong)
		g.Expect(err).To(MatchError(ContainSubstring("not the id of a container")), wrong)
	}
}
