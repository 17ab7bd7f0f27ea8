// Package program runs an agent's child processes: kube-proxy's code, CoreDNS, a pod's containers. They end with the agent.
package program

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/relapse-k8s/relapse/harness/agent"
)

// Spec is a program to start.
type Spec struct {
	// Name by which the program is spoken of: kube-proxy, coredns, a container's name.
	Name string
	Argv []string
	// Command is how many words at the head of Argv are the program itself; the arguments follow.
	Command int
	// Env is added to the agent's environment, as KEY=VALUE.
	Env []string
	// Files are written before the start: path to content.
	Files map[string]string
	// Logs is the file that standard error, and what is not a JSON line of standard output, is appended to.
	Logs string
}

// Input is a line for a program's standard input.
type Input struct {
	Name string
	// Line to write. None means that the program speaks first: what it has said until now counts too.
	Line string
	// Expect is a text that an answering line of standard output must contain; none means that no answer is waited for.
	Expect string
}

// Operations on programs.
var (
	Start = agent.Op[Spec, agent.None, agent.None]{Name: "program/start"}
	Send  = agent.Op[Input, agent.None, string]{Name: "program/send"}
	Stop  = agent.Op[string, agent.None, agent.None]{Name: "program/stop"}
)

// stopGrace is how long a program may take to end by itself before it is killed.
const stopGrace = time.Second

// answersKept is how many lines of JSON are kept of a program that nobody asks anything.
const answersKept = 16

// Manager owns the programs of an agent.
type Manager struct {
	// Stdout and Stderr, where not nil, get what the programs write there, line by line. They are set before the first start.
	Stdout, Stderr io.Writer

	mu       sync.Mutex
	programs map[string]*running
	spawn    chan func()

	ears ears
}

type running struct {
	spec  Spec
	cmd   *exec.Cmd
	stdin io.WriteCloser
	ended chan struct{}
	err   error

	mu    sync.Mutex
	lines []string      // of JSON on standard output, from the last input on
	more  chan struct{} // closed and replaced when a line comes
	tail  []string      // the last lines of standard error, for errors
}

// NewManager returns a Manager whose programs die with the process, even by SIGKILL.
func NewManager() *Manager {
	m := &Manager{programs: map[string]*running{}, spawn: make(chan func())}
	go func() {
		// The parent-death signal comes when the thread that forked ends: this one never does.
		runtime.LockOSThread()
		for f := range m.spawn {
			f()
		}
	}()
	return m
}

// Register adds the operations.
func (m *Manager) Register(ops map[string]agent.Handler) {
	Start.Handle(ops, func(_ context.Context, s Spec, _ func(agent.None)) (agent.None, error) {
		return agent.None{}, m.Start(s)
	})
	Send.Handle(ops, func(ctx context.Context, in Input, _ func(agent.None)) (string, error) { return m.Send(ctx, in) })
	Stop.Handle(ops, func(_ context.Context, name string, _ func(agent.None)) (agent.None, error) {
		return agent.None{}, m.Stop(name)
	})
	Serve(ops, m)
}

// Start starts a program.
func (m *Manager) Start(s Spec) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.programs[s.Name]; ok {
		return fmt.Errorf("program %s runs already", s.Name)
	}
	for path, content := range s.Files {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
			return fmt.Errorf("program %s: %w", s.Name, err)
		}
	}
	cmd := exec.Command(s.Argv[0], s.Argv[1:]...)
	cmd.Env = append(os.Environ(), s.Env...)
	// A group of its own, so that the workers of a server end with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	r := &running{spec: s, cmd: cmd, ended: make(chan struct{}), more: make(chan struct{})}
	stdin, err1 := cmd.StdinPipe()
	stdout, err2 := cmd.StdoutPipe()
	stderr, err3 := cmd.StderrPipe()
	logs, err4 := openLog(s.Logs)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return fmt.Errorf("program %s: %w", s.Name, err)
	}
	r.stdin = stdin
	started := make(chan error)
	m.spawn <- func() { started <- cmd.Start() }
	if err := <-started; err != nil {
		return fmt.Errorf("program %s: %w", s.Name, err)
	}
	m.programs[s.Name] = r
	say := func(to io.Writer) func(string) {
		return func(line string) {
			if to != nil {
				fmt.Fprintln(to, line)
			}
			m.ears.hear(s.Name, line)
		}
	}
	go r.read(stdout, stderr, logs, say(m.Stdout), say(m.Stderr))
	return nil
}

func openLog(path string) (io.WriteCloser, error) {
	if path == "" {
		path = os.DevNull
	}
	return os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
}

func (r *running) read(stdout, stderr io.Reader, logs io.WriteCloser, said, complained func(line string)) {
	defer logs.Close()
	var both sync.WaitGroup
	both.Go(func() {
		scan(stdout, func(line string) {
			said(line)
			if !strings.HasPrefix(line, "{") {
				fmt.Fprintln(logs, line)
				return
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			r.lines = append(r.lines, line)
			r.lines = r.lines[max(0, len(r.lines)-answersKept):]
			close(r.more)
			r.more = make(chan struct{})
		})
	})
	both.Go(func() {
		scan(stderr, func(line string) {
			fmt.Fprintln(logs, line)
			complained(line)
			r.mu.Lock()
			defer r.mu.Unlock()
			r.tail = append(r.tail, line)
			r.tail = r.tail[max(0, len(r.tail)-5):]
		})
	})
	both.Wait()
	r.err = r.cmd.Wait()
	close(r.ended)
}

func scan(from io.Reader, each func(string)) {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		each(lines.Text())
	}
	_, _ = io.Copy(io.Discard, from) // past an over-long line the program must not block
}

// Send writes a line to a program and waits for the answer, if one is expected. What a program says by itself when it has started
// answers the first input too, however late that comes.
func (m *Manager) Send(ctx context.Context, in Input) (string, error) {
	m.mu.Lock()
	r, ok := m.programs[in.Name]
	m.mu.Unlock()
	if !ok {
		return "", fmt.Errorf("no program %s runs here", in.Name)
	}
	if in.Line != "" {
		r.mu.Lock()
		r.lines = nil
		r.mu.Unlock()
		if _, err := io.WriteString(r.stdin, in.Line+"\n"); err != nil {
			return "", r.failed(err)
		}
	}
	if in.Expect == "" {
		return "", nil
	}
	for {
		r.mu.Lock()
		lines, more := r.lines, r.more
		r.mu.Unlock()
		for _, line := range lines {
			if strings.Contains(line, in.Expect) {
				return line, nil
			}
		}
		select {
		case <-more:
		case <-r.ended:
			return "", r.failed(fmt.Errorf("it ended (%w) before it said %q", errOrEnd(r.err), in.Expect))
		case <-ctx.Done():
			return "", r.failed(fmt.Errorf("it did not say %q: %w", in.Expect, ctx.Err()))
		}
	}
}

func errOrEnd(err error) error {
	if err == nil {
		return errors.New("exit status 0")
	}
	return err
}

func (r *running) failed(err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.tail) == 0 {
		return fmt.Errorf("program %s: %w", r.spec.Name, err)
	}
	return fmt.Errorf("program %s: %w; its last words:\n%s", r.spec.Name, err, strings.Join(r.tail, "\n"))
}

// Watch returns a channel that gets the exit status of a program, as it runs now, when it has ended for whatever reason. As in a shell
// it is 128 and the number of the signal that ended it.
func (m *Manager) Watch(name string) (<-chan int, error) {
	r, err := m.find(name)
	if err != nil {
		return nil, err
	}
	status := make(chan int, 1)
	go func() {
		<-r.ended
		state := r.cmd.ProcessState
		if wait, ok := state.Sys().(syscall.WaitStatus); ok && wait.Signaled() {
			status <- 128 + int(wait.Signal())
			return
		}
		status <- state.ExitCode()
	}()
	return status, nil
}

// Signal sends a signal to a program's first process. One that has ended is no error.
func (m *Manager) Signal(name string, sig os.Signal) error {
	r, err := m.find(name)
	if err != nil {
		return err
	}
	if err := r.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("program %s: signal %s: %w", name, sig, err)
	}
	return nil
}

// Stop ends a program: its input is closed and it gets SIGTERM, then SIGKILL. Stopping what does not run is no error.
func (m *Manager) Stop(name string) error {
	m.mu.Lock()
	r, ok := m.programs[name]
	delete(m.programs, name)
	m.mu.Unlock()
	if !ok {
		return nil
	}
	r.stdin.Close()
	_ = r.cmd.Process.Signal(syscall.SIGTERM)
	grace := time.NewTimer(stopGrace)
	defer grace.Stop()
	select {
	case <-r.ended:
		return nil
	case <-grace.C:
	}
	_ = syscall.Kill(-r.cmd.Process.Pid, syscall.SIGKILL)
	grace.Reset(stopGrace)
	select {
	case <-r.ended:
		return nil
	case <-grace.C:
		return fmt.Errorf("program %s: killed, but a child in another session still holds its output open", name)
	}
}
