package containers

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/agent/undo"
)

// fakeEngine puts a docker program on the PATH that knows these containers (of clusters and instances) and networks (with instances).
func fakeEngine(t *testing.T, containers, networks map[string]string) (left func() string) {
	t.Helper()
	g := NewWithT(t)
	dir := t.TempDir()
	program, err := filepath.Abs("testdata")
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

// TestJournals has lines as they have always been written: those of a run that died before must be undone, too.
func TestJournals(t *testing.T) {
	const docker = `"engine":{"program":"docker","host":"tcp://h","id":"ENGINE-1"}`
	who := Engine{Program: "docker", Host: "tcp://h", ID: "ENGINE-1"}
	for text, record := range map[string]undo.Record{
		`{"netns":4026531840,"containers":{` + docker + `,"cluster":"relapse-x","instance":"1234"}}`:  {Netns: 4026531840, Step: &Containers{Engine: who, Cluster: "relapse-x", Instance: "1234"}},
		`{"netns":4026531840,"engine-network":{` + docker + `,"name":"relapse-x","instance":"1234"}}`: {Netns: 4026531840, Step: &Network{Engine: who, Name: "relapse-x", Instance: "1234"}},
	} {
		g := NewWithT(t)
		var read undo.Record
		g.Expect(json.Unmarshal([]byte(text), &read)).To(Succeed())
		g.Expect(read).To(Equal(record))
		g.Expect(read.Check()).To(Succeed())
		written, err := json.Marshal(record)
		g.Expect(written, err).To(MatchJSON(text))

		path := filepath.Join(t.TempDir(), "journal.jsonl")
		g.Expect(os.WriteFile(path, []byte(`{"id":1,"change":"c","undo":`+text+"}\n"), 0o600)).To(Succeed())
		g.Expect(undo.Pending(path)).To(Equal([]undo.Entry{{ID: 1, Change: "c", Undo: record}}))
	}
	for text, want := range map[string]string{
		`{"containers":{"cluster":"relapse-x","colour":"red"}}`: `containers: json: unknown field "colour"`,
		`{"pods":{}}`:                           `json: unknown field "pods"`,
		`{"containers":{},"engine-network":{}}`: "both kinds",
	} {
		NewWithT(t).Expect(json.Unmarshal([]byte(text), new(undo.Record))).To(MatchError(ContainSubstring(want)))
	}
	two := undo.Record{Step: &Containers{}, File: &undo.File{}}
	NewWithT(t).Expect(two.Check()).To(MatchError(ContainSubstring("2 kinds set")))
}

const foreign = "containers/other networks/bridge"

func TestEngineRecords(t *testing.T) {
	g := NewWithT(t)
	left := fakeEngine(t, map[string]string{"a": "relapse-x 1234", "b": "relapse-x 1234"}, map[string]string{"relapse-x": "1234"})
	// One more is made while the others are being removed.
	g.Expect(os.WriteFile(filepath.Join(os.Getenv("FAKE_ENGINE"), "appears"), []byte("relapse-x 1234"), 0o644)).To(Succeed())
	engine, err := Find(t.Context())
	g.Expect(engine.ID, err).To(Equal("ENGINE-1"))
	containers := undo.Record{Step: &Containers{Engine: engine, Cluster: "relapse-x", Instance: "1234"}}
	network := undo.Record{Step: &Network{Engine: engine, Name: "relapse-x", Instance: "1234"}}
	g.Expect([]undo.Record{containers, network}).To(HaveEach(HaveField("Limit()", BeNumerically(">", undo.DefaultTimeout))))
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
	engine, err := Find(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	containers := undo.Record{Step: &Containers{Engine: engine, Cluster: "relapse-x", Instance: "1234"}}
	network := undo.Record{Step: &Network{Engine: engine, Name: "relapse-x", Instance: "1234"}}
	g.Expect(containers.Undo(t.Context())).To(Succeed(), "a cluster that was made later has the name now")
	g.Expect(network.Undo(t.Context())).To(Succeed())
	g.Expect(left()).To(Equal(all))

	g.Expect(os.WriteFile(filepath.Join(os.Getenv("FAKE_ENGINE"), "id"), []byte("ENGINE-2"), 0o644)).To(Succeed())
	g.Expect(containers.Undo(t.Context())).To(MatchError(ContainSubstring("the container engine here is ENGINE-2, and this is about ENGINE-1")))
	g.Expect(network.Undo(t.Context())).To(MatchError(ContainSubstring("ENGINE-2")))

	for _, r := range []undo.Record{
		{Step: &Containers{Engine: engine, Cluster: "kind", Instance: "1234"}},
		{Step: &Containers{Engine: engine, Cluster: "relapse-.*", Instance: "1234"}},
		{Step: &Containers{Engine: engine, Cluster: "relapse-x"}},
		{Step: &Containers{Cluster: "relapse-x", Instance: "1234"}},
		{Step: &Network{Engine: engine, Name: "bridge", Instance: "1234"}},
	} {
		g.Expect(r.Check()).NotTo(Succeed(), r.String())
	}
	g.Expect(left()).To(Equal(all))
}

func TestContainersWithoutANetwork(t *testing.T) {
	g := NewWithT(t)
	left := fakeEngine(t, map[string]string{"a": "relapse-x 1234", "b": "relapse-x 5678", "users-own": "relapse-x "}, nil)
	engine, err := Find(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	remove := func(instance string) {
		t.Helper()
		g.Expect((undo.Record{Step: &Containers{Engine: engine, Cluster: "relapse-x", Instance: instance}}).Undo(t.Context())).To(Succeed())
	}
	remove("1234")
	g.Expect(left()).To(Equal("containers/b containers/other containers/users-own networks/bridge"))
	remove("5678")
	g.Expect(left()).To(Equal("containers/other containers/users-own networks/bridge"), "a cluster of that name that relapse has not made stays")
}
