package program

import (
	"context"
	"fmt"
	"regexp"
	"sync"

	"github.com/relapse-k8s/relapse/harness/agent"
)

// Following asks for what a program says.
type Following struct {
	// Name of the program. It may end and start again meanwhile, or not run yet.
	Name string
	// Match are the regular expressions of Go's regexp package of which a line must match one.
	Match []string
}

// Follow sends the matching lines that a program writes from now on to its standard output or standard error, until it is
// cancelled.
var Follow = agent.Op[Following, string, agent.None]{Name: "program/follow"}

// ears are those who follow programs.
type ears struct {
	mu  sync.Mutex
	all map[*ear]bool
}

type ear struct {
	name  string
	match []*regexp.Regexp
	say   func(line string)
}

// hear passes a line on. It waits for those who follow: a program is not read faster than its lines are passed on.
func (e *ears) hear(name, line string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for one := range e.all {
		if one.name == name && one.matches(line) {
			one.say(line)
		}
	}
}

func (e *ear) matches(line string) bool {
	for _, pattern := range e.match {
		if pattern.MatchString(line) {
			return true
		}
	}
	return false
}

// Follow says the matching lines until ctx ends.
func (m *Manager) Follow(ctx context.Context, f Following, say func(line string)) error {
	one := &ear{name: f.Name, say: say}
	for _, text := range f.Match {
		pattern, err := regexp.Compile(text)
		if err != nil {
			return fmt.Errorf("program %s: %w", f.Name, err)
		}
		one.match = append(one.match, pattern)
	}
	m.ears.mu.Lock()
	if m.ears.all == nil {
		m.ears.all = map[*ear]bool{}
	}
	m.ears.all[one] = true
	m.ears.mu.Unlock()
	<-ctx.Done()
	m.ears.mu.Lock()
	delete(m.ears.all, one)
	m.ears.mu.Unlock()
	return nil
}
