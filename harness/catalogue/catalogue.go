// Package catalogue puts the catalogues of changes, probes and detectors together, for whoever loads scenarios.
package catalogue

import (
	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/faults"
	"github.com/relapse-k8s/relapse/harness/detect"
	"github.com/relapse-k8s/relapse/harness/probes"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// All is everything that a scenario can name.
func All() scenario.Catalogues {
	return scenario.Catalogues{
		Changes: faults.Catalogue, Probes: probes.Catalogue, Detectors: detect.Catalogue, Offers: clusters.Known,
	}
}
