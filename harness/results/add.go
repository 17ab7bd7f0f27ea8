package results

import (
	"bytes"
	"context"
	"slices"

	"github.com/relapse-k8s/relapse/harness/regular"
)

// chunk is how many bytes of lines a new file has at most, as long as one line is not longer.
const chunk = 16 << 20

// Added says what became of results that were to be added.
type Added struct {
	// New results were written. Known were there already, and Revised are those of the new ones that replace an earlier one of the same run.
	New     int `json:"new"`
	Known   int `json:"known"`
	Revised int `json:"revised"`
}

// Add adds those results that the store does not have. Problems are what of the store could not be read meanwhile.
func (s *Store) Add(ctx context.Context, list []Result) (Added, []Problem, error) {
	var added Added
	var problems []Problem
	byDay := map[string][]Result{}
	for _, r := range list {
		if _, err := Line(r); err != nil {
			return added, nil, err // before anything is written
		}
		day := r.Start.UTC().Format(dayForm)
		byDay[day] = append(byDay[day], r)
	}
	for day, some := range byDay {
		if ctx.Err() != nil {
			return added, problems, context.Cause(ctx)
		}
		found, err := s.addDay(day, some, &added)
		problems = append(problems, found...)
		if err != nil {
			return added, problems, err
		}
	}
	return added, problems, nil
}

func (s *Store) addDay(day string, list []Result, added *Added) ([]Problem, error) {
	date := list[0].Start
	segs, err := s.segments(date, date)
	if err != nil {
		return nil, err
	}
	root, err := regular.Open(s.dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	there, problems := s.day(root, segs)
	slices.SortStableFunc(list, func(a, b Result) int { return Compare(&a, &b) })
	var lines [][]byte
	for _, r := range list {
		key := runVariant{r.Run, r.Variant}
		was, known := there[key]
		r.Revision = was.Revision
		line, err := Line(r)
		if err != nil {
			return problems, err
		}
		if known {
			before, err := Line(was.Result)
			if err != nil {
				return problems, err
			}
			if bytes.Equal(before, line) {
				added.Known++
				continue
			}
			added.Revised++
			r.Revision++
			if line, err = Line(r); err != nil {
				return problems, err
			}
		}
		added.New++
		there[key] = entry{Result: r}
		lines = append(lines, line)
	}
	return problems, s.append(day, lines)
}

// append writes lines of a day to new files.
func (s *Store) append(day string, lines [][]byte) error {
	var text []byte
	flush := func() error {
		if len(text) == 0 {
			return nil
		}
		packed, err := pack(text)
		if err != nil {
			return err
		}
		seg := segmentOf(day, text)
		text = nil
		return s.write(seg, packed)
	}
	for _, line := range lines {
		if len(text) > 0 && len(text)+len(line) >= chunk {
			if err := flush(); err != nil {
				return err
			}
		}
		text = append(append(text, line...), '\n')
	}
	return flush()
}
