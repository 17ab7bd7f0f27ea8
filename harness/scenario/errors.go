package scenario

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
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

// At says which field of a config an error from its Validate method is about, so that it is shown at that field.
func At(field string, err error) error { return &fieldError{field, err} }

type fieldError struct {
	field string
	err   error
}

func (e *fieldError) Error() string { return e.field + ": " + e.err.Error() }
func (e *fieldError) Unwrap() error { return e.err }

type position struct{ line, col int }

// report collects the errors of one file, and where each field stands in it.
type report struct {
	file   string
	errors Errors
	at     map[string]position
	// bad holds the paths whose values could not be read: nothing more is said about them or what would be in them.
	bad map[string]bool
}

func newReport(file string) *report {
	return &report{file: file, at: map[string]position{"": {1, 1}}, bad: map[string]bool{}}
}

func (r *report) add(at position, path, format string, args ...any) {
	e := Error{File: r.file, Line: at.line, Col: at.col, Path: path, Message: fmt.Sprintf(format, args...)}
	if !slices.Contains(r.errors, e) {
		r.errors = append(r.errors, e)
	}
}

// addAt reports at the place of a field, or of the nearest field around it; where that could not be read, it is silent.
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
	if r.blocked(path) {
		return true
	}
	for bad := range r.bad {
		if rest, ok := strings.CutPrefix(bad, path); ok && (rest[0] == '.' || rest[0] == '[') {
			return true
		}
	}
	return false
}

func (r *report) err() error {
	if len(r.errors) == 0 {
		return nil
	}
	slices.SortFunc(r.errors, func(a, b Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col),
			cmp.Compare(a.Path, b.Path), cmp.Compare(a.Message, b.Message))
	})
	return r.errors
}

// fromConfig reports what a config's Validate method returned, at the field that it names.
func (r *report) fromConfig(path string, err error) {
	var field *fieldError
	if errors.As(err, &field) {
		r.addAt(join(path, field.field), "%s", field.err)
		return
	}
	r.addAt(path, "%s", err)
}

// join makes the path of a field; a name that would be misread is quoted.
func join(path, name string) string {
	if strings.ContainsAny(name, ".[]\" \n") {
		return fmt.Sprintf("%s[%q]", path, name)
	}
	if path == "" {
		return name
	}
	return path + "." + name
}

func index(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

func parent(path string) string { return path[:max(strings.LastIndexAny(path, ".["), 0)] }
