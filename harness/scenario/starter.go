package scenario

import (
	"bytes"
	_ "embed"
)

// SchemaURL is where editors find the schema of scenario files.
const SchemaURL = "https://raw.githubusercontent.com/relapse-k8s/relapse/main/harness/schema/scenario.v1alpha1.json"

//go:embed starter.yaml
var starter []byte

// Starter returns the text of a new scenario file: valid, and explained for somebody who writes their first.
func Starter(id string) []byte { return bytes.ReplaceAll(starter, []byte("my-failure"), []byte(id)) }
