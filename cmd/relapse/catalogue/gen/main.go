// Command gen writes the JSON Schema of scenario files from the Go types and the catalogues: go generate ./harness/schema.
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
	if err := os.WriteFile("scenario.v1alpha1.json", text, 0o644); err != nil {
		log.Fatal(err)
	}
}
