// Package catalogue puts the catalogues of changes, probes, readers and detectors together, for whoever loads scenarios.
package catalogue

import (
	"github.com/relapse-k8s/relapse/clusters/agent/probes"
	"github.com/relapse-k8s/relapse/clusters/agent/readers"
	"github.com/relapse-k8s/relapse/clusters/logs"
	"github.com/relapse-k8s/relapse/clusters/offers"
	"github.com/relapse-k8s/relapse/faults/clusterwide"
	"github.com/relapse-k8s/relapse/harness/detect"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// All is everything that a scenario can name.
func All() scenario.Catalogues {
	changes, places := map[string]func() any{}, map[string][]string{}
	for name, entry := range clusterwide.Catalogue {
		changes[name], places[name] = entry.New, entry.On
	}
	known := map[string]scenario.Reader{}
	for name, r := range readers.Catalogue {
		known[name] = scenario.Reader{Reads: r.Reads, Keys: r.Keys, Argument: r.Argument, CheckArgument: r.CheckArgument, Key: r.Key}
	}
	lines := logs.Known()
	lines["kernel"] = map[string]logs.Event{}
	for event, means := range readers.KernelEvents {
		lines["kernel"][event] = logs.Event{Means: means}
	}
	return scenario.Catalogues{
		Changes: changes, Places: places, Probes: probes.Catalogue, Readers: known, Detectors: detect.Catalogue, Offers: offers.Known,
		Logs: lines, Commands: readers.Documented, CheckCommand: readers.CheckCommand,
	}
}
