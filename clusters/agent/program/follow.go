package program

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"sync"

	"github.com/relapse-k8s/relapse/clusters/agent"
)

// Following asks for the lines that a program writes.
type Following struct {
	// Name of the program. It may be restarted meanwhile, or not be running yet.
	Name string
	// Match are regular expressions of Go's regexp package. A line must match one of them.
	Match []string
}

// Follow sends the matching lines that a program writes from now on to its standard output or standard error, until it is
// cancelled.
var Follow = agent.Op[Following, string, agent.None]{Name: "program/follow"}

// followers get the lines of programs.
type followers struct {
	mu  sync.Mutex
	all map[*follower]bool
}

type follower struct {
	name  string
	match []*regexp.Regexp
	emit  func(line string)
}

// pass sends a line to the followers and waits until they have received it, so a program's output is not read faster than it is
// delivered.
func (f *followers) pass(name, line string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for one := range f.all {
		if one.name == name && slices.ContainsFunc(one.match, func(p *regexp.Regexp) bool { return p.MatchString(line) }) {
			one.emit(line)
		}
	}
}

// Follow sends the matching lines until ctx ends.
func (m *Manager) Follow(ctx context.Context, f Following, emit func(line string)) error {
	one := &follower{name: f.Name, emit: emit}
	for _, text := range f.Match {
		pattern, err := regexp.Compile(text)
		if err != nil {
			return fmt.Errorf("program %s: %w", f.Name, err)
		}
		one.match = append(one.match, pattern)
	}
	m.followers.mu.Lock()
	if m.followers.all == nil {
		m.followers.all = map[*follower]bool{}
	}
	m.followers.all[one] = true
	m.followers.mu.Unlock()
	<-ctx.Done()
	m.followers.mu.Lock()
	delete(m.followers.all, one)
	m.followers.mu.Unlock()
	return nil
}
