package cli

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// screen writes lines and, on a terminal, keeps a block of rows below them up to date. The block is erased at the end. Hold mu
// while writing.
type screen struct {
	mu    sync.Mutex
	out   io.Writer
	live  bool
	start time.Time
	// rows returns the block for a terminal of that size.
	rows func(elapsed time.Duration, width, height int) []string
	// drawn is how many rows of the block are on the screen.
	drawn   int
	stop    chan struct{}
	stopped chan struct{}
}

func newScreen(out io.Writer, live bool) *screen {
	return &screen{out: out, live: live, start: time.Now(), stop: make(chan struct{}), stopped: make(chan struct{})}
}

// tick redraws the block until the end, to update the elapsed time.
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

// write writes text after a lead: wrapped on a terminal, otherwise in one line, as a log needs it.
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

// fit cuts the rows to the size of a terminal. The last row is always kept.
func fit(rows []string, last string, width, height int) []string {
	rows = append(rows[:min(len(rows), max(height-2, 0))], last)
	for i, row := range rows {
		row = strings.Join(strings.Split(row, "\n"), " ")
		if utf8.RuneCountInString(row) >= width { // some terminals wrap when the last column is used
			row = string([]rune(row)[:max(width-2, 0)]) + "…"
		}
		rows[i] = strings.TrimRight(row, " ")
	}
	return rows
}
