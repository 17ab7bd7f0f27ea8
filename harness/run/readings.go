package run

import (
	"context"
	"maps"
	"slices"

	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/readers"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// sight is a reader at a place, with the selectors of the scenario that cover it.
type sight struct {
	reader, place string
	selectors     []string
	// keys are the numbers that are kept; none means all.
	keys map[string]bool
}

// sights finds out what to read: conntrack on every node, and whatever the scenario looks at.
func (l *lane) sights() ([]sight, error) {
	var all []sight
	look := func(reader, on, key string) error {
		places, err := l.site.Resolve(on)
		if err != nil {
			return err
		}
		for _, place := range places {
			i := slices.IndexFunc(all, func(s sight) bool { return s.reader == reader && s.place == place })
			if i < 0 {
				i = len(all)
				all = append(all, sight{reader: reader, place: place, keys: map[string]bool{}})
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
	if err := look(scenario.ReaderConntrack, "nodes", ""); err != nil {
		return nil, err
	}
	for _, w := range l.Scenario.Watched() {
		key := w.Key
		if w.Reader == scenario.ReaderConntrack {
			key = "" // few enough, and people want to see them all
		}
		if err := look(w.Reader, w.On, key); err != nil {
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

// take reads what there is to read, and asks every change that is on.
func (l *lane) take(ctx context.Context) ([]history.Reading, error) {
	if l.watched == nil {
		watched, err := l.sights()
		if err != nil {
			return nil, err
		}
		l.watched = watched
	}
	var taken []history.Reading
	for _, s := range l.watched {
		conn, err := l.site.Agent(s.place)
		if err != nil {
			return nil, err
		}
		values, err := readers.Read.Call(ctx, conn, s.reader, nil)
		if err != nil {
			return nil, err
		}
		if len(s.keys) > 0 {
			maps.DeleteFunc(values, func(key string, _ float64) bool { return !s.keys[key] })
		}
		taken = append(taken, history.Reading{Reader: s.reader, On: s.place, For: s.selectors, Values: values})
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

// steps lists the ids of all steps that this lane may make.
func (l *lane) steps() []string {
	var ids []string
	for _, p := range l.phases {
		for _, step := range p.Apply {
			ids = append(ids, step.ID)
		}
	}
	return ids
}
