package run

import "github.com/relapse-k8s/relapse/harness/history"

// WithHistory returns the options of a run whose history is written to the file that create returns.
func WithHistory(o Options, create func(path string) (history.File, error)) Options {
	o.createHistory = create
	return o
}
