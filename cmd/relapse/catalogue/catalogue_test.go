package catalogue_test

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/relapse-k8s/relapse/clusters/lab"
	"github.com/relapse-k8s/relapse/cmd/relapse/catalogue"
	"github.com/relapse-k8s/relapse/harness/scenario"
	"github.com/relapse-k8s/relapse/harness/scenario/load"
	"github.com/relapse-k8s/relapse/harness/schema"
	"github.com/relapse-k8s/relapse/scenarios"
)

func TestTheCommittedSchemaIsUpToDate(t *testing.T) {
	g := NewWithT(t)
	fresh, err := schema.Generate(catalogue.All(), schema.Sources("../../..")...)
	g.Expect(err).NotTo(HaveOccurred())
	if !bytes.Equal(fresh, schema.JSON()) {
		t.Error("harness/schema/scenario.v1alpha1.json is stale; make generate writes it again")
	}
}

func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	g := NewWithT(t)
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema.JSON()))
	g.Expect(err).NotTo(HaveOccurred())
	compiler := jsonschema.NewCompiler()
	g.Expect(compiler.AddResource("scenario.json", document)).To(Succeed())
	s, err := compiler.Compile("scenario.json")
	g.Expect(err).NotTo(HaveOccurred())
	return s
}

// check holds a file against the loader, the schema and the lab.
func check(t *testing.T, name string, text []byte) {
	t.Helper()
	g := NewWithT(t)
	s, err := load.Parse(name, text, catalogue.All())
	g.Expect(err).NotTo(HaveOccurred())
	var value any
	g.Expect(yaml.Unmarshal(text, &value)).To(Succeed())
	if err := compiled(t).Validate(value); err != nil {
		t.Error(err) // the schema says at which path
	}
	if slices.Contains(s.Needs, "kubernetes") {
		return // it never runs in the lab
	}
	for _, objects := range s.Objects() {
		g.Expect((&lab.Lab{}).Check(objects.JSON)).To(BeEmpty(), objects.Paths[0])
	}
}

func TestEveryScenarioIsValid(t *testing.T) {
	ids, err := scenarios.IDs()
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	for _, id := range ids {
		t.Run(id, func(t *testing.T) {
			text, err := scenarios.Files.ReadFile(id + ".yaml")
			NewWithT(t).Expect(err).NotTo(HaveOccurred())
			check(t, id+".yaml", text)
		})
	}
}

func TestTheStarterIsValid(t *testing.T) { check(t, "my-failure.yaml", scenario.Starter("my-failure")) }

func TestTheListOfScenariosIsUpToDate(t *testing.T) {
	all, err := catalogue.Scenarios()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../../../scenarios/README.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != catalogue.Markdown(all) {
		t.Error("scenarios/README.md is stale; make generate writes it again")
	}
	for _, s := range all {
		if !strings.Contains(string(text), "["+s.Metadata.ID+"]") {
			t.Errorf("layer %q of %s is not in the list", s.Metadata.Layer, s.Metadata.ID)
		}
	}
}
