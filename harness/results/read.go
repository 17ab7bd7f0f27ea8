package results

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/relapse-k8s/relapse/harness/regular"
)

// load reads a file of the store: its lines, and whether they are what its name says.
func (s *Store) load(root *regular.Folder, seg segment) (packed, lines []byte, problems []Problem) {
	file, err := root.Open(seg.name)
	if err != nil {
		return nil, nil, []Problem{{File: seg.name, What: err.Error()}}
	}
	defer file.Close()
	if packed, err = regular.Read(file, regular.MaxResults); err != nil {
		return nil, nil, []Problem{{File: seg.name, What: err.Error()}}
	}
	if lines, err = unpack(packed); err != nil {
		return packed, lines, []Problem{{File: seg.name, What: fmt.Sprintf("damaged after %d bytes of lines: %v", len(lines), err)}}
	}
	if segmentOf(seg.day, lines).digest != seg.digest {
		return packed, lines, []Problem{{File: seg.name, What: "damaged: its lines are not those that its name says"}}
	}
	return packed, lines, nil
}

// entry is a result with the digest of its line.
type entry struct {
	Result
	sum [sha256.Size]byte
}

// runVariant is what a result is of.
type runVariant struct{ run, variant string }

// day reads all files of a day. Of several results of one variant of one run the highest revision counts; if that is there twice,
// any rule will do that does not depend on the order of the files.
func (s *Store) day(root *regular.Folder, segs []segment) (map[runVariant]entry, []Problem) {
	all := map[runVariant]entry{}
	var problems []Problem
	for _, seg := range segs {
		_, lines, found := s.load(root, seg)
		problems = append(problems, found...)
		problems = append(problems, ReadLines(seg.name, lines, func(r Result, line []byte) {
			e := entry{r, sha256.Sum256(line)}
			key := runVariant{r.Run, r.Variant}
			was, there := all[key]
			if !there || cmp.Or(cmp.Compare(e.Revision, was.Revision), slices.Compare(e.sum[:], was.sum[:])) > 0 {
				all[key] = e
			}
		})...)
	}
	return all, problems
}

// Each calls a function with the results of a selection, in the order of time, each once. It holds the results of one day in memory, and
// with Last those that it has yet to give. Problems are what could not be read; an error is that of the store as a whole.
func (s *Store) Each(ctx context.Context, sel Selection, each func(*Result)) ([]Problem, error) {
	segs, err := s.segments(sel.Since, sel.Until)
	if err != nil {
		return nil, err
	}
	root, err := regular.Open(s.dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	last := newLast(sel.Last, each)
	var problems []Problem
	for len(segs) > 0 {
		if ctx.Err() != nil {
			return problems, context.Cause(ctx)
		}
		n := 1
		for n < len(segs) && segs[n].day == segs[0].day {
			n++
		}
		found, troubles := s.day(root, segs[:n])
		problems, segs = append(problems, troubles...), segs[n:]
		chosen := make([]*Result, 0, len(found))
		for _, e := range found {
			if sel.Matches(&e.Result) {
				chosen = append(chosen, &e.Result)
			}
		}
		slices.SortFunc(chosen, Compare)
		for _, r := range chosen {
			last.add(r)
		}
	}
	last.flush()
	return problems, nil
}
