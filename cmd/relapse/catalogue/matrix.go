package catalogue

import (
	"fmt"

	"go.yaml.in/yaml/v3"

	"github.com/relapse-k8s/relapse/harness/matrix"
	"github.com/relapse-k8s/relapse/harness/scenario"
	"github.com/relapse-k8s/relapse/harness/scenario/load"
	"github.com/relapse-k8s/relapse/scenarios"
)

// Scenarios loads those that are compiled in.
func Scenarios() ([]*scenario.Scenario, error) {
	ids, err := scenarios.IDs()
	if err != nil {
		return nil, err
	}
	var all []*scenario.Scenario
	for _, id := range ids {
		s, err := load.FS(scenarios.Files, id+".yaml", All())
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// Matrix holds the detectors of the scenarios that are compiled in against their recorded failures.
func Matrix() (matrix.Matrix, error) {
	all, err := Scenarios()
	if err != nil {
		return matrix.Matrix{}, err
	}
	recordings, err := matrix.Read(scenarios.Recorded())
	if err != nil {
		return matrix.Matrix{}, err
	}
	var overlaps []matrix.Overlap
	if err := yaml.Unmarshal(scenarios.Overlaps, &overlaps); err != nil {
		return matrix.Matrix{}, fmt.Errorf("overlaps.yaml: %w", err)
	}
	return matrix.Make(all, recordings, overlaps), nil
}
