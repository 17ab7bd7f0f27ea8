package readers_test

import (
	"errors"
	"os"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/agent/readers"
	"github.com/relapse-k8s/relapse/clusters/agent/undo/nstest"
)

// TestKeys holds the catalogue's lists of numbers against what each reader reads here: a number that is not listed could not be named
// in a scenario.
func TestKeys(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	for name, reader := range readers.Catalogue {
		if reader.Argument != "" {
			continue
		}
		g := NewWithT(t)
		values, err := readers.HandleRead(t.Context(), readers.Question{Reader: name}, nil)
		if name == "nfqueue" && errors.Is(err, os.ErrPermission) {
			continue // in a user namespace
		}
		g.Expect(err).NotTo(HaveOccurred(), name)
		g.Expect(values).NotTo(BeEmpty(), name)
		for key := range values {
			g.Expect(reader.Keys).To(HaveKey(key), "%s reads a number that is not in its Keys", name)
		}
	}
}

func TestUnknownReader(t *testing.T) {
	_, err := readers.HandleRead(t.Context(), readers.Question{Reader: "contrack"}, nil)
	NewWithT(t).Expect(err).To(MatchError(`unknown reader "contrack"`))
}
