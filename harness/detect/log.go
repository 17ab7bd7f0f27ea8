package detect

import (
	"errors"
	"fmt"

	"github.com/relapse-k8s/relapse/harness/history"
)

// Log fires when a program of the cluster, or its network policies, have said something known.
type Log struct {
	// Source is who says it: nginx, haproxy, nflog.
	Source string `json:"source"`
	// Event is the name of the message, such as upstream-reset.
	Event string `json:"event"`
	// On limits it to this place. Default: anywhere in the cluster.
	On string `json:"on,omitempty" ref:"place"`
	// Fields are what the message must say, by name. Default: anything.
	Fields map[string]string `json:"fields,omitempty"`
	// Count is how many such messages there must be. Default: at least 1.
	Count int `json:"count,omitempty" jsonschema:"minimum=1"`
}

// Validate refuses settings that mean nothing.
func (l *Log) Validate() error {
	if l.Source == "" || l.Event == "" {
		return errors.New("source and event must be given")
	}
	return nil
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

func (l *Log) is(line history.Log) bool {
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
