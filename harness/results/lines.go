package results

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/relapse-k8s/relapse/harness/regular"
)

// maxLine is the size of a line, in bytes: far more than any run needs.
const maxLine = 1 << 20

var errTooLong = fmt.Errorf("it has more than %d bytes", regular.MaxResults)

// Problem is something of a store that could not be read. All else was.
type Problem struct {
	// File is the path in the store, or of the run folder, and Line the number of the line, if it is one line.
	File string `json:"file"`
	Line int    `json:"line,omitempty"`
	What string `json:"what"`
	// Newer is true for lines of a newer relapse, which are kept.
	Newer bool `json:"newer,omitempty"`
}

func (p Problem) String() string {
	if p.Line > 0 {
		return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.What)
	}
	return p.File + ": " + p.What
}

// mostProblems is how many lines of a file are named that cannot be read.
const mostProblems = 5

// Line writes a result as a line of a store, without the line's end.
func Line(r Result) ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("result of %s: %w", r.Run, err)
	}
	line, err := json.Marshal(r)
	if err == nil && len(line) >= maxLine {
		err = fmt.Errorf("result of %s: it has more than %d bytes", r.Run, maxLine)
	}
	return line, err
}

// Parse reads a line. Newer is true if a newer relapse has written it.
func Parse(line []byte) (r Result, newer bool, err error) {
	if err := json.Unmarshal(line, &r); err != nil {
		// A newer format may have other types: all that is known of it is its number.
		var other struct {
			Format int `json:"format"`
		}
		if json.Unmarshal(line, &other) == nil && other.Format > Format {
			return Result{}, true, newerFormat(other.Format)
		}
		return Result{}, false, err
	}
	if r.Format > Format {
		return Result{}, true, newerFormat(r.Format)
	}
	return r, false, r.check()
}

func newerFormat(format int) error {
	return fmt.Errorf("a newer relapse has written it (format %d, this relapse reads %d): it is kept, and left out", format, Format)
}

// ReadLines reads the lines of a file; each is called with every result, and the line that it comes from. What cannot be read is left
// out and named: no line keeps others from being read.
func ReadLines(file string, lines []byte, each func(r Result, line []byte)) []Problem {
	var problems []Problem
	left := map[bool]int{}
	for number := 1; len(lines) > 0; number++ {
		line, rest, ended := bytes.Cut(lines, []byte("\n"))
		lines = rest
		r, newer, err := Result{}, false, error(nil)
		if len(line) >= maxLine {
			err = fmt.Errorf("the line has more than %d bytes", maxLine)
		} else {
			r, newer, err = Parse(line)
		}
		if err == nil {
			each(r, line)
			continue
		}
		if syntax := (*json.SyntaxError)(nil); !ended && errors.As(err, &syntax) {
			err = errors.New("the last line is cut off")
		}
		if left[newer]++; left[newer] <= mostProblems {
			problems = append(problems, Problem{file, number, err.Error(), newer})
		}
	}
	for newer, n := range left {
		if more := n - mostProblems; more > 0 {
			problems = append(problems, Problem{file, 0, fmt.Sprintf("%d more lines like that", more), newer})
		}
	}
	return problems
}
