package run

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/relapse-k8s/relapse/clusters/agent/readers"
	"github.com/relapse-k8s/relapse/harness/history"
)

// read is a reader at a place, with the selectors of the scenario that cover it.
type read struct {
	reader, place string
	selectors     []string
	// keys are the names of the numbers to keep; none means all.
	keys map[string]bool
}

// toRead lists what to read: what every run reads, and everything that the scenario refers to.
func (l *lane) toRead() ([]read, error) {
	var all []read
	add := func(reader, on, key string) error {
		places, err := l.site.Resolve(on)
		if err != nil {
			return err
		}
		for _, place := range places {
			i := slices.IndexFunc(all, func(r read) bool { return r.reader == reader && r.place == place })
			if i < 0 {
				i = len(all)
				all = append(all, read{reader: reader, place: place, keys: map[string]bool{}})
			}
			if !slices.Contains(all[i].selectors, on) {
				all[i].selectors = append(all[i].selectors, on)
			}
			if key != "" {
				all[i].keys[key] = true
			}
		}
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(readers.Catalogue)) {
		if !readers.Catalogue[name].Always {
			continue
		}
		if err := add(name, "nodes", ""); err != nil {
			return nil, err
		}
	}
	for _, w := range l.Scenario.Watched(l.offered) {
		key := w.Key
		if readers.Catalogue[w.Reader].Always {
			key = "" // few enough, and people want to see them all
		}
		if err := add(w.Reader, w.On, key); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// readings takes all readings and writes them down.
func (l *lane) readings(ctx context.Context, at string) error {
	taken, err := l.take(ctx)
	if err != nil {
		return err
	}
	for i := range taken {
		taken[i].At = at
		l.add(history.Event{Kind: history.KindReading, Reading: &taken[i]})
	}
	return nil
}

// take takes all readings, those of the changes that are applied included.
func (l *lane) take(ctx context.Context) ([]history.Reading, error) {
	if l.reads == nil {
		all, err := l.toRead()
		if err != nil {
			return nil, err
		}
		l.reads = all
	}
	var taken []history.Reading
	for _, r := range l.reads {
		conn, err := l.site.Agent(r.place)
		if err != nil {
			return nil, err
		}
		question := readers.Question{Reader: l.reader(r.reader), Keys: slices.Sorted(maps.Keys(r.keys))}
		if name, pod, _ := strings.Cut(r.reader, "/"); readers.Catalogue[name].Of != nil {
			found, err := l.site.Find(ctx, "pod/"+pod)
			if err != nil {
				return nil, err
			}
			question.Pod = found.Address
		}
		values, err := readers.Read.Call(ctx, conn, question, nil)
		if err != nil {
			return nil, err
		}
		if len(r.keys) > 0 {
			maps.DeleteFunc(values, func(key string, _ float64) bool { return !r.keys[key] })
		}
		taken = append(taken, history.Reading{Reader: r.reader, On: r.place, For: r.selectors, Values: values})
	}
	for _, id := range l.steps() {
		byPlace, err := l.site.ChangeReadings(ctx, id)
		if err != nil {
			return nil, err
		}
		for _, place := range slices.Sorted(maps.Keys(byPlace)) {
			if len(byPlace[place]) > 0 {
				taken = append(taken, history.Reading{Reader: "change/" + id, On: place, Values: byPlace[place]})
			}
		}
	}
	return taken, nil
}

// steps lists the ids of all steps of this lane.
func (l *lane) steps() []string {
	var ids []string
	for _, p := range l.phases {
		for _, step := range slices.Concat(p.Apply, p.During) {
			ids = append(ids, step.ID)
		}
	}
	return ids
}
