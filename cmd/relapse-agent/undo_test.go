package main

import (
	"encoding/json"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/agent/undo"
)

// The guard is this program: what it cannot read it cannot undo.
func TestTheGuardKnowsWhatIsInAnEngine(t *testing.T) {
	for _, kind := range []string{"containers", "engine-network"} {
		var record undo.Record
		NewWithT(t).Expect(json.Unmarshal([]byte(`{"`+kind+`":{}}`), &record)).To(Succeed())
		NewWithT(t).Expect(record.OutlivesBoot()).To(BeTrue())
	}
}
