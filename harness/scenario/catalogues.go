package scenario

import (
	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/clusters/logs"
)

// Reporter is a change that has readings.
type Reporter interface {
	// Keys are all numbers that the change can return.
	Keys() units.Keys
}

// LogReader is a detector that looks for a known line of a log.
type LogReader interface {
	// Log returns the source and the event of the line, and the fields that it must have.
	Log() (source, event string, fields map[string]string)
}

// Catalogues is what scenarios can name. They are passed in, because the packages that hold them import this one.
//
// Changes, probes and detectors are functions that return a pointer to a fresh struct of settings, with json tags and doc
// comments. Settings may have a method Validate() error, whose error is shown where they stand in the file. Fields of the
// types ReadingExpectation, ProbeExpectation and the ranges are checked as everywhere else in a scenario. A string that
// names something says so in a tag: `ref:"probe"`, `ref:"pod"`, `ref:"container"` or `ref:"place"`; a map of texts by file names, `ref:"file"`. A change that has readings is a
// Reporter, a detector that looks for a known line of a log is a LogReader.
type Catalogues struct {
	Changes, Probes, Detectors map[string]func() any
	// Places are the kinds of place at which a change can be made: node, pod, outside, host, cluster.
	Places map[string][]string
	// Readers are the readers of places, by name.
	Readers map[string]Reader
	// Offers holds the known names of needs and offers, with their meaning in a sentence.
	Offers map[string]string
	// Logs are the known lines of logs: by source, and then by event.
	Logs map[string]map[string]logs.Event
	// Commands are the read-only commands whose output may be evidence.
	Commands []string
	// CheckCommand returns an error if a command is none of them.
	CheckCommand func(argv []string) error
}

// Reader is what a file can say of a reader.
type Reader struct {
	// Reads says in a few words what it reads.
	Reads string
	// Keys are all numbers that it can read, on whichever kernel. Nil if the file names them.
	Keys units.Keys

	// Argument is what a file writes after the reader's name and a slash, such as PORT: none if empty.
	Argument string
	// CheckArgument and Key say what is wrong with an argument, and with the name of a number where the file names them. Without CheckArgument
	// the argument is the name of a pod.
	CheckArgument func(string) error
	Key           func(string) (units.Key, error)
}

// Form is how a file writes the reader: conntrack, or metrics/PORT.
func (r Reader) Form(name string) string {
	if r.Argument == "" {
		return name
	}
	return name + "/" + r.Argument
}
