package run

import (
	"encoding/json"
	"reflect"

	"github.com/relapse-k8s/relapse/harness/scenario"
)

// configOf is a probe's configuration as its agent gets it: with the addresses of the nodes and pods that it names.
func (l *lane) configOf(probe scenario.Probe) ([]byte, error) {
	text, err := json.Marshal(probe.Use.Config)
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	scenario.Walk("", probe.Use.Config, func(path string, value reflect.Value, f reflect.StructField) {
		before, on, after := "", "", ""
		if f.Tag.Get("ref") == "address" && value.Kind() == reflect.String {
			before, on, after = scenario.SplitAddress(value.String())
		}
		if on == "" || err != nil {
			return
		}
		var places []string
		if places, err = l.site.Resolve(on); err != nil {
			return
		}
		var address string
		address, err = l.site.Cluster.Address(places[0])
		found[path] = before + address + after
	})
	if err != nil || len(found) == 0 {
		return text, err
	}
	var config map[string]any
	if err := json.Unmarshal(text, &config); err != nil {
		return nil, err
	}
	for field, address := range found {
		config[field] = address
	}
	return json.Marshal(config)
}
