// Package schema makes the JSON Schema of scenario files from the Go types, and holds the committed result. Editors use it
// to complete and explain what one types; the loader of package scenario is stricter and has the last word.
package schema

import _ "embed"

//go:embed scenario.v1alpha1.json
var committed []byte

// JSON is the schema that belongs to this build, as in scenario.v1alpha1.json.
func JSON() []byte { return append([]byte(nil), committed...) }
