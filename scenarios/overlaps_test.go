package scenarios_test

import (
	"testing"

	"github.com/relapse-k8s/relapse/cmd/relapse/catalogue"
)

// TestOverlaps: a detector must fire on the failure of its own scenario, and may fire on others only if testdata/overlaps.yaml says why.
func TestOverlaps(t *testing.T) {
	m, err := catalogue.Matrix()
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range m.Wrong() {
		t.Error(text)
	}
}
