package detect

import (
	"errors"
	"fmt"
	"strings"

	"github.com/relapse-k8s/relapse/clusters/logs"
)

// Log fires if a program of the cluster, or its network policies, have logged a known message.
type Log struct {
	// Source of the message, such as nginx; relapse explain log lists all.
	Source string `json:"source"`
	// Event is the name of the message, such as upstream-reset.
	Event string `json:"event"`
	// On limits it to one place. Default: anywhere in the cluster.
	On string `json:"on,omitempty" ref:"place"`
	// Fields are values that the message must have, by name. Default: any.
	Fields map[string]string `json:"fields,omitempty"`
	// Count is how many such messages there must be. Default: at least 1.
	Count int `json:"count,omitempty" jsonschema:"minimum=1"`
}

// Validate checks that source and event are given, and refuses the kernel's log, which is not one cluster's alone.
func (l *Log) Validate() error {
	switch {
	case l.Source == "" || l.Event == "":
		return errors.New("source and event must be given")
	case l.On == "nodes" || strings.HasPrefix(l.On, "node-of/"):
		return fmt.Errorf("on: %s: a line has one place, such as node/node-1 or pod/web", l.On)
	case l.Source == "kernel":
		return errors.New("the detector kernel-log reads the log of the kernel")
	}
	return nil
}

// Log says which line is looked for.
func (l *Log) Log() (source, event string, fields map[string]string) {
	return l.Source, l.Event, l.Fields
}

// Decide counts the messages.
func (l *Log) Decide(w Window) Result {
	n := 0
	for _, line := range w.Logs {
		if l.is(line) {
			n++
		}
	}
	text := fmt.Sprintf("%d lines %s of %s", n, l.Event, l.Source)
	if n == 1 {
		text = fmt.Sprintf("1 line %s of %s", l.Event, l.Source)
	}
	return Result{Fired: n >= max(l.Count, 1), Reading: float64(n), Text: text, Blind: w.Attempts == 0}
}

func (l *Log) is(line logs.Line) bool {
	if line.Source != l.Source || line.Event != l.Event || l.On != "" && line.On != l.On {
		return false
	}
	for name, value := range l.Fields {
		if line.Fields[name] != value {
			return false
		}
	}
	return true
}
