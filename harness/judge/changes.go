package judge

import (
	"cmp"
	"maps"
	"slices"

	"github.com/relapse-k8s/relapse/harness/history"
)

// changes are what is on in a lane: by step and place.
type changes map[made]*state

type made struct{ id, on string }

type state struct {
	on bool
	// trouble is the error of the last attempt to make or undo it.
	trouble string
	// stuck is true where undoing failed and did not succeed later.
	stuck bool
}

// note follows a change event. A change that could not be made is not on; one that could not be undone still is.
func (c changes) note(e history.Change) {
	key := made{e.ID, e.On}
	s := c[key]
	if s == nil {
		s = &state{}
		c[key] = s
	}
	s.trouble = e.Error
	switch {
	case e.Action == "apply" && e.Error == "":
		s.on, s.stuck = true, false
	case e.Action == "undo" && e.Error == "":
		s.on, s.stuck = false, false
	case e.Action == "undo":
		s.stuck = true
	}
}

func (c changes) copy() changes {
	all := changes{}
	for key, s := range c {
		copied := *s
		all[key] = &copied
	}
	return all
}

// everywhere reports whether a step is on at every place where it was tried, and otherwise what was the trouble.
func (c changes) everywhere(id string) (on bool, trouble string) {
	off := false
	for _, key := range c.sorted() {
		if key.id != id {
			continue
		}
		if c[key].on {
			on = true
			continue
		}
		off, trouble = true, cmp.Or(trouble, c[key].trouble)
	}
	return on && !off, trouble
}

// anywhere reports whether a step is on at any place.
func (c changes) anywhere(id string) bool {
	for key, s := range c {
		if key.id == id && s.on {
			return true
		}
	}
	return false
}

func (c changes) sorted() []made {
	return slices.SortedFunc(maps.Keys(c), func(a, b made) int {
		return cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(a.on, b.on))
	})
}
