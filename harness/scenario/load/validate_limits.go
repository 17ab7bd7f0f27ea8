package load

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// possible checks that what is asked for can be done: in a time that somebody waits for, at the place where it is to be done, and by
// what is there.
func (v *validator) possible() {
	for i, p := range v.s.Probes {
		if d := p.Every.Std(); d > 0 && d <= scenario.MaxDuration && p.Attempts > 1 && int64(p.Attempts-1) > int64(scenario.MaxDuration/d) {
			v.r.addAt(index("probes", i)+".every", "%d attempts, one every %s, must start within %s", p.Attempts, p.Every, units.Duration(scenario.MaxDuration))
		}
	}
	for i, command := range v.s.Evidence {
		v.notCluster(index("evidence", i)+".on", command.On, "a command runs")
	}
	scenario.Walk("", v.s, func(path string, value reflect.Value, _ reflect.StructField) {
		switch x := value.Interface().(type) {
		case units.Duration:
			if x.Std() > scenario.MaxDuration {
				v.r.addAt(path, "must be at most %s", units.Duration(scenario.MaxDuration))
			}
		case scenario.ReadingExpectation:
			v.notCluster(join(path, "on"), x.On, "numbers are read")
		case scenario.Step:
			v.placeOf(path, x)
		}
	})
}

func (v *validator) notCluster(path, on, what string) {
	if on == "cluster" {
		v.r.addAt(path, "%s at a place, not on the cluster as a whole", what)
	}
}

// placeOf checks that a change can be made where the step says, and that what its settings name is there.
func (v *validator) placeOf(path string, step scenario.Step) {
	place, err := scenario.ParsePlace(step.On)
	if err != nil || step.Use.Name == "" {
		return
	}
	kind := place.Kind
	if kind == "nodes" || kind == "node-of" {
		kind = "node"
	}
	allowed := v.cat.Places[step.Use.Name]
	if len(allowed) > 0 && !slices.Contains(allowed, kind) {
		v.r.addAt(join(path, "on"), "%s cannot be made on %s: it acts on %s", step.Use.Name, step.On, strings.Join(allowed, ", "))
		return
	}
	scenario.Walk(join(path, step.Use.Name), step.Use.Config, func(path string, value reflect.Value, f reflect.StructField) {
		ref := f.Tag.Get("ref")
		if files, ok := value.Interface().(map[string]string); ok && ref == "file" {
			v.files(path, place, files)
		}
		if value.Kind() != reflect.String {
			return
		}
		name := value.String()
		switch ref {
		case "probe":
			i := slices.IndexFunc(v.s.Probes, func(p scenario.Probe) bool { return p.ID == name })
			if i >= 0 && place.Kind == "pod" && v.s.Probes[i].From != step.On {
				v.r.addAt(path, "probe %q runs in %s, not in %s", name, v.s.Probes[i].From, step.On)
			}
		case "container":
			if known := v.containers[place.Name]; place.Kind == "pod" && known != nil && !slices.Contains(known, name) {
				v.ref(path, name, names{noun: "container", plural: "containers", list: known})
			}
		}
	})
}

// files checks that a pod has each file from a ConfigMap.
func (v *validator) files(path string, place scenario.Place, files map[string]string) {
	if v.containers[place.Name] == nil {
		return // of a Deployment or unknown, which is said elsewhere
	}
	known := names{noun: "file", plural: "files", note: " in the ConfigMaps of pod " + place.Name}
	for _, volume := range v.volumes[place.Name] {
		known.list = append(known.list, v.keys[volume]...)
	}
	slices.Sort(known.list)
	known.list = slices.Compact(known.list)
	for _, file := range slices.Sorted(maps.Keys(files)) {
		v.ref(join(path, file), file, known)
	}
}
