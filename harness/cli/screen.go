package cli

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// screen is lines that stay and, on a terminal, a block of rows below them that is drawn anew over and over, and is gone at the
// end. Whoever writes holds mu.
type screen struct {
	mu    sync.Mutex
	out   io.Writer
	live  bool
	start time.Time
	// rows makes the block for a terminal of that size.
	rows func(elapsed time.Duration, width, height int) []string
	// drawn is how many rows of the block are on the screen.
	drawn   int
	stop    chan struct{}
	stopped chan struct{}
}

func newScreen(out io.Writer, live bool) *screen {
	return &screen{out: out, live: live, start: time.Now(), stop: make(chan struct{}), stopped: make(chan struct{})}
}

// tick redraws the block until the end, so that the time goes on.
func (s *screen) tick() {
	defer close(s.stopped)
	t := time.NewTicker(200 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			s.mu.Lock()
			s.draw()
			s.mu.Unlock()
		case <-s.stop:
			return
		}
	}
}

func (s *screen) end() {
	close(s.stop)
	<-s.stopped
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	s.live = false
}

// write writes text after a lead: wrapped on a terminal, else in one line, because it goes to a log.
func (s *screen) write(lead, text string) {
	if s.live {
		(&page{w: s.out, width: width(s.out)}).text(lead, text)
		return
	}
	fmt.Fprintln(s.out, strings.TrimRight(lead+strings.Join(strings.Fields(text), " "), " "))
}

func (s *screen) erase() {
	if s.drawn > 0 {
		fmt.Fprint(s.out, "\r", strings.Repeat("\x1b[A", s.drawn-1), "\x1b[J")
		s.drawn = 0
	}
}

func (s *screen) draw() {
	if !s.live {
		return
	}
	rows := s.rows(time.Since(s.start), width(s.out), height(s.out))
	s.erase()
	fmt.Fprint(s.out, strings.Join(rows, "\n"))
	s.drawn = len(rows)
}

// fit cuts rows and their number to a terminal, with a last one that is always there.
func fit(rows []string, last string, width, height int) []string {
	rows = append(rows[:min(len(rows), max(height-2, 0))], last)
	for i, row := range rows {
		row = strings.Join(strings.Split(row, "\n"), " ")
		if utf8.RuneCountInString(row) >= width { // the last column too would make some terminals wrap
			row = string([]rune(row)[:max(width-2, 0)]) + "…"
		}
		rows[i] = strings.TrimRight(row, " ")
	}
	return rows
}
