// Package run is the engine: it takes a scenario through its phases on a cluster and writes down what happens. It judges
// nothing; the judge reads the history when the run is over.
package run

import (
	"context"
	"io"
	"reflect"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/scenario"
	"github.com/relapse-k8s/relapse/harness/site"
)

// Options are how to run a scenario.
type Options struct {
	Scenario *scenario.Scenario
	// Source is the text of the scenario's file, which is kept in the run folder.
	Source []byte
	// Load loads such a text, as a lane has it that has only a part of a cluster.
	Load     func(source []byte) (*scenario.Scenario, error)
	Provider clusters.Provider
	// Agent is the path of the program relapse-agent.
	Agent string
	// Proxy is kube-proxy's mode.
	Proxy string
	// Variants to run; none means all.
	Variants []string
	// Repeat is the number of attempts of the symptom's probe; 0 means the scenario's own.
	Repeat int
	// PauseAt is the phase that is held open, in the first lane that reaches it, until a line is read from Resume.
	PauseAt string
	Resume  io.Reader
	// Prompt gets the commands with which people can look around meanwhile.
	Prompt io.Writer
	// Seed of every random choice.
	Seed uint64
	// Timeout of the whole run, or with Slots of each lane; what must be undone is undone all the same.
	Timeout time.Duration
	// Out is the folder that run folders are made in.
	Out string
	// AllowHostChanges lets variants run that alter a setting of the whole machine.
	AllowHostChanges bool
	// Command is what a person would type to run this again.
	Command []string
	// Slots, if not nil, is a limit on the lanes at once that runs side by side share: a lane takes one while it lives.
	Slots *semaphore.Weighted
	// Making, if not nil, is a limit on the clusters that are made at once, which runs side by side share.
	Making Limit
	// SlotsTaken, if not nil, is called when all lanes that run side by side have a slot.
	SlotsTaken func()
	// Alone, if not nil, is called before the first lane that changes the host: it returns when nothing else will run on this machine
	// until the end of this run.
	Alone func(context.Context) error
	// Watch, if not nil, is called with every event that is recorded; Status with what a lane is waiting for.
	Watch  func(history.Event)
	Status func(lane, doing string)

	// createHistory creates the file of the history; nil means on the disk. It is for tests of a disk that is full.
	createHistory func(path string) (history.File, error)
}

// ofAll is an object that belongs to all lanes of a cluster, as what a change alters that is of the whole cluster; where each lane has a
// cluster of its own there is no such object.
var ofAll = [][]byte{[]byte(`{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "of-all"}}`)}

// Whole says if the scenario changes what belongs to the whole of a cluster that lanes share, so that no other lane can run meanwhile.
func (o Options) Whole() bool {
	whole := false
	for _, objects := range o.Scenario.Objects() {
		whole = whole || o.Provider.Whole(objects.JSON)
	}
	scenario.Walk("", o.Scenario, func(_ string, value reflect.Value, _ reflect.StructField) {
		if change, ok := value.Interface().(site.WholeCluster); ok && change.WholeCluster() {
			whole = whole || o.Provider.Whole(ofAll)
		}
	})
	return whole
}

// Limit is a number of things that may be done at once. A *semaphore.Weighted is one.
type Limit interface {
	Acquire(ctx context.Context, n int64) error
	Release(n int64)
}

// The limits of the engine, except those that are part of the plan.
const (
	// pollEvery is how often a wait checks, and readEvery how often readings are taken for the picture.
	pollEvery = 50 * time.Millisecond
	readEvery = 250 * time.Millisecond
	// closeLimit bounds the undoing of what is left at the end of a lane, and then the end of its cluster. On kind kubelets and pods take part.
	closeLimit = 90 * time.Second
)
