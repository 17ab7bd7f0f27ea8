// Command gen writes what follows from the Go types, the catalogues and the scenarios: the JSON Schema of scenario files, and the list of
// scenarios. It runs in harness/schema: go generate ./harness/schema.
package main

import (
	"log"
	"os"

	"github.com/relapse-k8s/relapse/cmd/relapse/catalogue"
	"github.com/relapse-k8s/relapse/harness/schema"
)

func main() {
	log.SetFlags(0)
	text, err := schema.Generate(catalogue.All(), schema.Sources("../..")...)
	if err != nil {
		log.Fatal(err)
	}
	write("scenario.v1alpha1.json", text)
	all, err := catalogue.Scenarios()
	if err != nil {
		log.Fatal(err)
	}
	write("../../scenarios/README.md", []byte(catalogue.Markdown(all)))
}

func write(path string, text []byte) {
	if err := os.WriteFile(path, text, 0o644); err != nil {
		log.Fatal(err)
	}
}
