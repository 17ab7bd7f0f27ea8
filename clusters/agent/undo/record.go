// Package undo keeps the list of how to undo what an agent has changed: written down before the change is made, undone
// last-first, past errors, whatever happens to the context. With a journal the list outlives the process.
//
// The next kind of record is one file like sysctl.go, one field in Record and one line in Record.step. One that is about nothing of this
// kernel's is registered by the package that knows about it.
package undo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/relapse-k8s/relapse/clusters/agent/procs"
)

// Prefix starts the name of everything that relapse creates. Records that delete an object by its name refuse any other.
const Prefix = "relapse"

// Record is how to undo one change to a machine. Exactly one of the kinds is set.
type Record struct {
	// Netns is the inode of the network namespace that the change is made in. Push fills it in. Undo refuses to act in another
	// one: a record read from the journal of a dead process must not hit the wrong machine.
	Netns uint64 `json:"netns,omitempty"`

	Sysctl        *Sysctl        `json:"sysctl,omitempty"`
	NftTable      *NftTable      `json:"nft-table,omitempty"`
	File          *File          `json:"file,omitempty"`
	ConntrackMark *ConntrackMark `json:"conntrack-mark,omitempty"`
	Address       *Address       `json:"address,omitempty"`
	Link          *Link          `json:"link,omitempty"`
	Route         *Route         `json:"route,omitempty"`
	Neighbour     *Neighbour     `json:"neighbour,omitempty"`

	// Step is of a kind that another package has registered; in JSON it stands beside the others, under its kind.
	Step Step `json:"-"`
}

// step is what a kind of record has to be able to do.
type step interface {
	// check says what is wrong with the record itself, before it is written down.
	check() error
	// undo brings the old state back; when it is there already, or the object has gone, that is success.
	undo(ctx context.Context) error
	// String says what undo does, as in: set net.ipv4.ip_forward to "0".
	String() string
}

// step returns the one kind that is set.
func (r Record) step() (step, error) {
	var steps []step
	add := func(set bool, s step) {
		if set {
			steps = append(steps, s)
		}
	}
	add(r.Sysctl != nil, r.Sysctl)
	add(r.NftTable != nil, r.NftTable)
	add(r.File != nil, r.File)
	add(r.ConntrackMark != nil, r.ConntrackMark)
	add(r.Address != nil, r.Address)
	add(r.Link != nil, r.Link)
	add(r.Route != nil, r.Route)
	add(r.Neighbour != nil, r.Neighbour)
	add(r.Step != nil, registered{r.Step})
	if len(steps) != 1 {
		text, _ := json.Marshal(r)
		return nil, fmt.Errorf("undo record has %d kinds set, wanted one: %s", len(steps), text)
	}
	return steps[0], nil
}

// Check says what is wrong with the record, without looking at the machine.
func (r Record) Check() error {
	s, err := r.step()
	if err != nil {
		return err
	}
	if err := s.check(); err != nil {
		return fmt.Errorf("undo record to %s: %w", s, err)
	}
	return nil
}

// String says what Undo does.
func (r Record) String() string {
	s, err := r.step()
	if err != nil {
		return err.Error()
	}
	return s.String()
}

// Limit is how long undoing may take where that is longer than for most kinds; else 0.
func (r Record) Limit() time.Duration {
	if r.Step != nil {
		return r.Step.Limit()
	}
	return 0
}

// OutlivesBoot says whether what the record is about is still there after the machine has started anew.
func (r Record) OutlivesBoot() bool { return r.File != nil || r.Step != nil }

// ErrElsewhere is the error of undoing a record of another network namespace.
var ErrElsewhere = errors.New("the change was made in another network namespace")

// Undo brings the old state back. Doing so twice, or when what was created has gone already, is success.
func (r Record) Undo(ctx context.Context) error {
	if err := r.Check(); err != nil {
		return err
	}
	s, err := r.step()
	if err != nil {
		return err
	}
	// Files and what another package undoes do not belong to a network namespace.
	if r.Netns != 0 && r.File == nil && r.Step == nil {
		here, err := procs.Netns(0)
		if err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
		if here != r.Netns {
			return fmt.Errorf("%s: %w: net:[%d], and this one is net:[%d]", s, ErrElsewhere, r.Netns, here)
		}
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", s, err)
	}
	if err := s.undo(ctx); err != nil {
		return fmt.Errorf("%s: %w", s, err)
	}
	return nil
}
