package load

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/relapse-k8s/relapse/harness/scenario"
)

// Error is one thing that is wrong with a scenario file.
type Error struct {
	File string
	// Line and Col count from 1.
	Line, Col int
	// Path of the field, such as variants[1].fault.changes[0].sysctl.value; empty for the file as a whole.
	Path    string
	Message string
}

func (e Error) Error() string {
	at := fmt.Sprintf("%s:%d:%d: ", e.File, e.Line, e.Col)
	if e.Path != "" {
		at += e.Path + ": "
	}
	return at + e.Message
}

// Errors is all that is wrong with a scenario file, in the order of the file.
type Errors []Error

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

type position struct{ line, col int }

// report collects the errors of one file, and where each field stands in it.
type report struct {
	file   string
	errors Errors
	said   map[Error]bool
	at     map[string]position
	// bad holds the paths whose values could not be read: nothing more is said about them or what would be in them. Around are the paths
	// of the fields that they are in.
	bad, around map[string]bool
}

func newReport(file string) *report {
	return &report{file: file, said: map[Error]bool{}, at: map[string]position{"": {1, 1}}, bad: map[string]bool{}, around: map[string]bool{}}
}

// spoil notes that a value could not be read.
func (r *report) spoil(path string) {
	r.bad[path] = true
	for path != "" {
		path = parent(path)
		r.around[path] = true
	}
}

func (r *report) add(at position, path, format string, args ...any) {
	e := Error{File: r.file, Line: at.line, Col: at.col, Path: path, Message: fmt.Sprintf(format, args...)}
	if !r.said[e] {
		r.said[e] = true
		r.errors = append(r.errors, e)
	}
}

// addAt reports at the place of a field, or of the nearest field around it; if that could not be read, nothing is reported.
func (r *report) addAt(path, format string, args ...any) {
	if r.blocked(path) {
		return
	}
	for around := path; ; around = parent(around) {
		if at, ok := r.at[around]; ok {
			r.add(at, path, format, args...)
			return
		}
	}
}

// has reports whether the file gives the field, readable or not.
func (r *report) has(path string) bool {
	_, ok := r.at[path]
	return ok
}

// blocked reports whether the field or one around it could not be read.
func (r *report) blocked(path string) bool {
	for ; path != ""; path = parent(path) {
		if r.bad[path] {
			return true
		}
	}
	return r.bad[""]
}

// broken reports whether the field, one around it or one in it could not be read.
func (r *report) broken(path string) bool {
	return r.blocked(path) || r.around[path]
}

func (r *report) err() error {
	if len(r.errors) == 0 {
		return nil
	}
	slices.SortFunc(r.errors, func(a, b Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col),
			cmp.Compare(a.Path, b.Path), cmp.Compare(a.Message, b.Message))
	})
	if more := len(r.errors) - maxErrors; more > 0 {
		r.errors = r.errors[:maxErrors]
		r.errors[maxErrors-1].Message += fmt.Sprintf("; %d more errors are not shown", more)
	}
	return r.errors
}

// join and index make paths as the scenario does.
var (
	join  = scenario.Join
	index = scenario.Index
)

func parent(path string) string { return path[:max(strings.LastIndexAny(path, ".["), 0)] }
