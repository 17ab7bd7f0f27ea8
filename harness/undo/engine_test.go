package undo

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

// fakeEngine puts a docker program on the PATH that knows these containers (of clusters and instances) and networks (with instances).
func fakeEngine(t *testing.T, containers, networks map[string]string) (left func() string) {
	t.Helper()
	g := NewWithT(t)
	dir := t.TempDir()
	program, err := filepath.Abs("testdata/fakeengine")
	g.Expect(err).NotTo(HaveOccurred())
	t.Setenv("PATH", program+":"+os.Getenv("PATH"))
	t.Setenv("FAKE_ENGINE", dir)
	write := func(name, text string) {
		g.Expect(os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755)).To(Succeed())
		g.Expect(os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644)).To(Succeed())
	}
	write("id", "ENGINE-1\n")
	write("containers/other", "kind")
	write("networks/bridge", "none")
	for name, text := range containers {
		write("containers/"+name, text)
	}
	for name, text := range networks {
		write("networks/"+name, text)
	}
	return func() string {
		found, err := filepath.Glob(filepath.Join(dir, "*s", "*"))
		g.Expect(err).NotTo(HaveOccurred())
		for i := range found {
			found[i], _ = filepath.Rel(dir, found[i])
		}
		return strings.Join(found, " ")
	}
}

const foreign = "containers/other networks/bridge"

func TestEngineRecords(t *testing.T) {
	g := NewWithT(t)
	left := fakeEngine(t, map[string]string{"a": "relapse-x 1234", "b": "relapse-x 1234"}, map[string]string{"relapse-x": "1234"})
	// One more is made while the others are being removed.
	g.Expect(os.WriteFile(filepath.Join(os.Getenv("FAKE_ENGINE"), "appears"), []byte("relapse-x 1234"), 0o644)).To(Succeed())
	engine, err := FindEngine(t.Context())
	g.Expect(engine.ID, err).To(Equal("ENGINE-1"))
	containers := Record{Containers: &Containers{Engine: engine, Cluster: "relapse-x", Instance: "1234"}}
	network := Record{EngineNetwork: &EngineNetwork{Engine: engine, Name: "relapse-x", Instance: "1234"}}
	g.Expect([]Record{containers, network}).To(HaveEach(HaveField("Limit()", BeNumerically(">", DefaultTimeout))))
	g.Expect(containers.OutlivesBoot()).To(BeTrue())
	for range 2 {
		g.Expect(containers.Undo(t.Context())).To(Succeed())
		g.Expect(network.Undo(t.Context())).To(Succeed())
		g.Expect(left()).To(Equal(foreign))
	}
}

func TestEngineRecordsLeaveOthersAlone(t *testing.T) {
	g := NewWithT(t)
	left := fakeEngine(t, map[string]string{"a": "relapse-x 5678"}, map[string]string{"relapse-x": "5678"})
	all := left()
	engine, err := FindEngine(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	containers := Record{Containers: &Containers{Engine: engine, Cluster: "relapse-x", Instance: "1234"}}
	network := Record{EngineNetwork: &EngineNetwork{Engine: engine, Name: "relapse-x", Instance: "1234"}}
	g.Expect(containers.Undo(t.Context())).To(Succeed(), "a cluster that was made later has the name now")
	g.Expect(network.Undo(t.Context())).To(Succeed())
	g.Expect(left()).To(Equal(all))

	g.Expect(os.WriteFile(filepath.Join(os.Getenv("FAKE_ENGINE"), "id"), []byte("ENGINE-2"), 0o644)).To(Succeed())
	g.Expect(containers.Undo(t.Context())).To(MatchError(ContainSubstring("the container engine here is ENGINE-2, and this is about ENGINE-1")))
	g.Expect(network.Undo(t.Context())).To(MatchError(ContainSubstring("ENGINE-2")))

	for _, r := range []Record{
		{Containers: &Containers{Engine: engine, Cluster: "kind", Instance: "1234"}},
		{Containers: &Containers{Engine: engine, Cluster: "relapse-.*", Instance: "1234"}},
		{Containers: &Containers{Engine: engine, Cluster: "relapse-x"}},
		{Containers: &Containers{Cluster: "relapse-x", Instance: "1234"}},
		{EngineNetwork: &EngineNetwork{Engine: engine, Name: "bridge", Instance: "1234"}},
	} {
		g.Expect(r.Check()).NotTo(Succeed(), r.String())
	}
	g.Expect(left()).To(Equal(all))
}

func TestContainersWithoutANetwork(t *testing.T) {
	g := NewWithT(t)
	left := fakeEngine(t, map[string]string{"a": "relapse-x 1234", "b": "relapse-x 5678", "users-own": "relapse-x "}, nil)
	engine, err := FindEngine(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	undo := func(instance string) {
		t.Helper()
		g.Expect((Record{Containers: &Containers{Engine: engine, Cluster: "relapse-x", Instance: instance}}).Undo(t.Context())).To(Succeed())
	}
	undo("1234")
	g.Expect(left()).To(Equal("containers/b containers/other containers/users-own networks/bridge"))
	undo("5678")
	g.Expect(left()).To(Equal("containers/other containers/users-own networks/bridge"), "a cluster of that name that relapse has not made stays")
}
