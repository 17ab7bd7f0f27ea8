package schema_test

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/relapse-k8s/relapse/cmd/relapse/catalogue"
	"github.com/relapse-k8s/relapse/faults"
	"github.com/relapse-k8s/relapse/harness/scenario"
	"github.com/relapse-k8s/relapse/harness/schema"
)

func generate(g *WithT) []byte {
	data, err := schema.Generate(catalogue.All(), schema.Sources("../..")...)
	g.Expect(err).NotTo(HaveOccurred())
	return data
}

func compile(g *WithT, data []byte) *jsonschema.Schema {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	g.Expect(err).NotTo(HaveOccurred())
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	g.Expect(compiler.AddResource(scenario.SchemaURL, document)).To(Succeed())
	compiled, err := compiler.Compile(scenario.SchemaURL)
	g.Expect(err).NotTo(HaveOccurred())
	return compiled
}

// check validates as an editor does: it reads the YAML by itself.
func check(g *WithT, compiled *jsonschema.Schema, text []byte) error {
	var instance any
	g.Expect(yaml.Unmarshal(text, &instance)).To(Succeed())
	return compiled.Validate(instance)
}

func TestValidScenariosAreValid(t *testing.T) {
	g := NewWithT(t)
	compiled := compile(g, generate(g))
	files, _ := filepath.Glob("../scenario/load/testdata/valid/*.yaml")
	g.Expect(files).NotTo(BeEmpty())
	for _, file := range files {
		data, err := os.ReadFile(file)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(check(g, compiled, data)).To(Succeed(), file)
	}
}

// TestInvalidForm lists what the schema sees by itself; meaning is left to the loader.
func TestInvalidForm(t *testing.T) {
	g := NewWithT(t)
	compiled := compile(g, generate(g))
	for _, name := range []string{
		"detector-reader", "reading-reader", "enum", "missing-field", "missing-field-in-config", "needs-unknown", "number-above-maximum",
		"number-below-minimum", "number-fraction", "percent-above-100", "percent-without-sign", "union-misspelt",
		"union-none", "union-probe-none", "union-unknown", "unit-missing", "unit-unknown", "unknown-field", "unknown-field-in-config",
		"unknown-field-misspelt", "version", "wrong-type-boolean", "wrong-type-list",
		"wrong-type-mapping", "wrong-type-nothing", "wrong-type-number-for-text", "wrong-type-text-for-number",
	} {
		data, err := os.ReadFile("../scenario/load/testdata/invalid/" + name + ".yaml")
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(check(g, compiled, data)).NotTo(Succeed(), name)
	}
}

func TestDescriptions(t *testing.T) {
	g := NewWithT(t)
	text := string(generate(g))
	g.Expect(text).To(ContainSubstring(`"description": "Layer is where the failure sits."`))
	g.Expect(text).To(ContainSubstring(`"description": "Sysctl sets a kernel setting of the namespace."`), "of a config, where it is named")
	g.Expect(text).To(ContainSubstring(`"description": "Key as sysctl writes it, such as net.ipv4.ip_forward."`), "of another package")
	g.Expect(text).To(HavePrefix("{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n  \"$id\": \"" + scenario.SchemaURL + `"`))
}

func TestFieldsNeedDescriptions(t *testing.T) {
	g := NewWithT(t)
	_, err := schema.Generate(catalogue.All(), "../schema")
	g.Expect(err).To(MatchError(ContainSubstring("no doc comment found for [AttemptCriterion.failed ")))

	type Undocumented struct {
		Name string `json:"name"`
	}
	cat := catalogue.All()
	cat.Changes = maps.Clone(cat.Changes)
	cat.Changes["undocumented"] = func() any { return &Undocumented{} }
	_, err = schema.Generate(cat, schema.Sources("../..")...)
	g.Expect(err).To(MatchError(ContainSubstring("Undocumented.name")))
}

func TestNamesOfFieldsAreRefused(t *testing.T) {
	g := NewWithT(t)
	cat := catalogue.All()
	cat.Changes = maps.Clone(cat.Changes)
	cat.Changes["on"] = func() any { return &faults.Sysctl{} }
	_, err := schema.Generate(cat, schema.Sources("../..")...)
	g.Expect(err).To(MatchError(`the catalogue's name "on" is a field of Step already`))
}

func TestEveryObjectIsClosed(t *testing.T) {
	g := NewWithT(t)
	text := string(generate(g))
	// Open are only Kubernetes objects, whose fields other programs know, and maps, whose values have a type.
	objects := strings.Count(text, `"type": "object"`)
	g.Expect(strings.Count(text, `"additionalProperties": false`)).To(Equal(objects - strings.Count(text, `"additionalProperties": {`) - 1))
}

func TestCommittedIsASchema(t *testing.T) {
	g := NewWithT(t)
	compile(g, schema.JSON())
}
