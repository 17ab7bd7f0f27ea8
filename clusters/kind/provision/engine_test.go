package provision

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/clusters/agent/containers"
	"github.com/relapse-k8s/relapse/clusters/agent/runstate"
	"github.com/relapse-k8s/relapse/clusters/agent/undo/nstest"
)

// fakeEngine is a container engine that is not there.
type fakeEngine struct {
	g   Gomega
	dir string
}

func newFake(t *testing.T) fakeEngine {
	t.Helper()
	f := fakeEngine{NewWithT(t), t.TempDir()}
	program, err := filepath.Abs("testdata/fakeengine")
	f.g.Expect(err).NotTo(HaveOccurred())
	t.Setenv("PATH", program+":"+os.Getenv("PATH"))
	t.Setenv("FAKE_ENGINE", f.dir)
	t.Setenv(runstate.EnvDir, t.TempDir())
	f.write("images", "relapse.dev/node:v1.9.0\nrelapse.dev/node:v1.36.3\nrelapse.dev/node:v1.36.3-0123456789ab\n")
	for _, folder := range []string{"networks", "containers"} {
		f.g.Expect(os.Mkdir(filepath.Join(f.dir, folder), 0o755)).To(Succeed())
	}
	return f
}

func (f fakeEngine) write(name, text string) {
	f.g.Expect(os.WriteFile(filepath.Join(f.dir, name), []byte(text), 0o644)).To(Succeed())
}

// cluster adds one with a node, whose run is that of the labels.
func (f fakeEngine) cluster(name, instance string, owner map[string]string) {
	labels := fmt.Sprintf(`"relapse.dev/cluster": %q, "relapse.dev/instance": %q, "relapse.dev/cni": "plain"`, name, instance)
	for key, value := range owner {
		labels += fmt.Sprintf(`, %q: %q`, labelOwner+strings.ToLower(key), value)
	}
	f.write("networks/"+name+".json", fmt.Sprintf(`{"Name": %q, "Labels": {%s}, "IPAM": {"Config": [{"Subnet": "172.20.0.0/16"}]}}`, name, labels))
	f.write("containers/"+name+"-control-plane", name+" "+instance+"\n")
}

// left is what there is now.
func (f fakeEngine) left() []string {
	found, err := filepath.Glob(filepath.Join(f.dir, "*s", "*"))
	f.g.Expect(err).NotTo(HaveOccurred())
	for i := range found {
		found[i] = filepath.Base(found[i])
	}
	return found
}

func TestListAndDelete(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	g := NewWithT(t)
	f := newFake(t)
	f.cluster("relapse-a", "0000000a", nil)
	f.cluster("relapse-b", "0000000b", map[string]string{runstate.EnvRun: "20261121-112654-4404"})
	f.write("containers/relapse-c-worker", "relapse-c 0000000c\n")
	f.write("containers/other", "kind\n")
	all, err := List(t.Context())
	g.Expect(all, err).To(HaveExactElements(
		And(HaveField("Name", "relapse-a"), HaveField("CNI", "plain"), HaveField("Run", ""), HaveField("Nodes", []State{{"relapse-a-control-plane", "running"}})),
		And(HaveField("Name", "relapse-b"), HaveField("Run", "20261121-112654-4404"))))
	for range 2 {
		g.Expect(Delete(t.Context(), "a")).To(Succeed())
		g.Expect(f.left()).To(ConsistOf("relapse-b.json", "relapse-b-control-plane", "relapse-c-worker", "other"))
	}
	g.Expect(Delete(t.Context(), "relapse-c")).To(Succeed(), "it has lost its network")
	g.Expect(f.left()).To(ConsistOf("relapse-b.json", "relapse-b-control-plane", "other"))
	g.Expect(Delete(t.Context(), "Kind!")).To(MatchError(`invalid --name "Kind!": must be lower case letters, digits and dashes, at most 41 characters`))
	_, err = Open(t.Context(), "a")
	g.Expect(err).To(MatchError("cluster relapse-a does not exist; relapse cluster list shows all clusters"))
	f.write("fails", "network rm")
	g.Expect(Delete(t.Context(), "b")).To(MatchError(And(ContainSubstring("remove the engine's network relapse-b"), ContainSubstring("told to fail"))))
}

// TestFenceIsKnownOrNot: whoever may not see rules does not take a fence for none.
func TestFenceIsKnownOrNot(t *testing.T) {
	g := NewWithT(t)
	n := network{Labels: map[string]string{containers.LabelInstance: "0000000a"}}
	g.Expect(n.fence([]string{"0000000b", "0000000a"}, nil)).To(Equal(FenceClosed))
	g.Expect(n.fence([]string{"0000000b"}, nil)).To(Equal(FenceNone))
	g.Expect(n.fence(nil, os.ErrPermission)).To(Equal(FenceUnknown))
	n.Labels[labelEgress] = "open"
	g.Expect(n.fence(nil, os.ErrPermission)).To(Equal(FenceNone), "none was put up")
}

func TestClaim(t *testing.T) {
	g := NewWithT(t)
	t.Setenv(runstate.EnvDir, t.TempDir())
	claim, err := Claim("dev")
	g.Expect(err).NotTo(HaveOccurred())
	_, err = Claim("relapse-dev")
	g.Expect(err).To(MatchError("cluster relapse-dev: cluster-relapse-dev is used by another run: the lock is held"))
	g.Expect(claim.Close()).To(Succeed())
	claim, err = Claim("relapse-dev")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(claim.Close()).To(Succeed())
}

func TestSweep(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	g := NewWithT(t)
	f := newFake(t)
	state, err := runstate.New("test", nil)
	g.Expect(err).NotTo(HaveOccurred())
	defer state.Close()
	dead := state.Ownership()
	dead[runstate.EnvRun], dead[runstate.EnvHarness] = "20261121-112654-4404", fmt.Sprintf("%d/1", os.Getpid())
	elsewhere := map[string]string{}
	for key, value := range dead {
		elsewhere[key] = value
	}
	elsewhere["RELAPSE_PIDNS"] = "1"
	f.cluster("relapse-stays", "0000000a", nil)
	f.cluster("relapse-alive", "0000000b", state.Ownership())
	f.cluster("relapse-dead", "0000000c", dead)
	f.cluster("relapse-elsewhere", "0000000d", elsewhere)
	f.write("containers/relapse-lost-worker", "relapse-lost 0000000f\n")
	f.write("containers/relapse-image", "relapse-image none\n") // with a network that is no cluster's
	f.write("networks/relapse-image.json", `{"Name": "relapse-image", "Labels": {"relapse.dev/instance": "none"}}`)
	f.write("containers/other", "kind\n")
	nstest.Must(t, "nft add table inet "+fencePrefix+"0000000c")
	nstest.Must(t, "nft add table inet "+fencePrefix+"0000000b")
	nstest.Must(t, "nft add table inet "+fencePrefix+"0000000e")
	nstest.Must(t, "ip link add "+bridgeOf("0000000b")+" type bridge")

	var dry, wet bytes.Buffer
	before := f.left()
	found, err := Sweep(t.Context(), &dry, true)
	g.Expect(found, err).To(HaveLen(5))
	g.Expect(f.left()).To(Equal(before))
	found, err = Sweep(t.Context(), &wet, false)
	g.Expect(found, err).To(HaveLen(4), "the dead cluster's fence went with it")
	g.Expect(wet.String()).To(Equal(`removed cluster relapse-dead of run 20261121-112654-4404, which has no folder any more
removed containers of cluster relapse-image, which has no network any more
removed containers of cluster relapse-lost, which has no network any more
removed fence relapse_fence_0000000e, whose bridge is gone
`))
	g.Expect(f.left()).NotTo(ContainElement(Or(ContainSubstring("dead"), ContainSubstring("lost"), ContainSubstring("image"))))
	g.Expect(f.left()).To(HaveLen(7))
	g.Expect(fences()).To(Equal([]string{"0000000b"}))
	g.Expect(Sweep(t.Context(), &wet, false)).To(BeEmpty())
}

func TestImages(t *testing.T) {
	g := NewWithT(t)
	f := newFake(t)
	g.Expect(NodeImage(t.Context(), Spec{})).To(Equal("relapse.dev/node:v1.36.3"))
	g.Expect(NodeImage(t.Context(), Spec{Image: "kindest/node:v1.33.0"})).To(Equal("kindest/node:v1.33.0"))
	f.write("images", "kindest/node:v1.37.0\n")
	g.Expect(NodeImage(t.Context(), Spec{})).To(HavePrefix("kindest/node:v1.37.0@sha256:"))

	engine, err := findEngine(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	image := func(s Spec) (string, error) {
		m := &maker{Cluster: &Cluster{Spec: s, engine: engine}}
		err := m.nodeImage(t.Context())
		return m.Spec.Image, err
	}
	g.Expect(image(Spec{})).To(Equal("kindest/node:v1.37.0"), "an image from an archive has no digest of a registry")
	f.write("images", "")
	_, err = image(Spec{})
	g.Expect(err).To(MatchError(And(ContainSubstring("kindest/node:v1.37.0"), ContainSubstring("make node-image builds the project's own; docker pull"))))
	_, err = image(Spec{Image: "relapse.dev/node:v1.35.4"})
	g.Expect(err).To(MatchError(ContainSubstring("the nodes' image relapse.dev/node:v1.35.4: make node-image, or --images")))
	_, err = image(Spec{Image: "kindest/node:v1.33.0"})
	g.Expect(err).To(MatchError(ContainSubstring("the nodes' image kindest/node:v1.33.0: docker pull kindest/node:v1.33.0, or --images")))
}

func TestCreateThatCannotBegin(t *testing.T) {
	g := NewWithT(t)
	f := newFake(t)
	_, err := Create(t.Context(), Spec{Name: "kind", Nodes: 26, Proxy: "ipfw", CNI: "weave", Archives: []string{"/nowhere.tar"}}, nil)
	g.Expect(err).To(MatchError(And(ContainSubstring(`must start with "relapse"`), ContainSubstring("invalid --nodes 26: must be 1 to 25"), ContainSubstring(`invalid --proxy "ipfw": must be one of`),
		ContainSubstring(`invalid --cni "weave": must be one of`), ContainSubstring("/nowhere.tar"))))
	_, err = Create(t.Context(), Spec{Name: "relapse-x", Image: "absent:1"}, nil)
	g.Expect(err).To(MatchError(clusters.ErrMissing))
	f.write("fails", "network create")
	_, err = Create(t.Context(), Spec{Name: "relapse-x"}, nil)
	g.Expect(err).To(MatchError(And(HavePrefix("cluster relapse-x: making the nodes' network: docker network create"), ContainSubstring("told to fail"))))
	g.Expect(f.left()).To(BeEmpty())
	f.write("fails", "info")
	_, err = Create(t.Context(), Spec{Name: "relapse-x"}, nil)
	g.Expect(err).To(And(MatchError(MatchRegexp(`^Docker does not answer: .*told to fail\. Start Docker, or set DOCKER_HOST$`)), MatchError(clusters.ErrMissing)))
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("ended by signal: interrupt"))
	_, err = Create(ctx, Spec{Name: "relapse-x"}, nil)
	g.Expect(err).To(And(MatchError(HaveSuffix("ended by signal: interrupt")), Not(MatchError(clusters.ErrMissing))))
}
