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
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/agent/procs"
)

// Spec is a program to start.
type Spec struct {
	// Name of the program in requests and errors: kube-proxy, coredns, a container's name.
	Name string
	Argv []string
	// Command is the number of words at the start of Argv that are the program itself; the arguments follow.
	Command int
	// Env is added to the agent's environment, as KEY=VALUE.
	Env []string
	// Files, path to content, are written before the start.
	Files map[string]string
	// Logs is the file to which standard error, and standard output except JSON lines, is appended.
	Logs string
	// Network is whether the program configures the network of its place, as kube-proxy does. It then gets all rights of the agent.
	Network bool
}

// Input is a line for a program's standard input.
type Input struct {
	Name string
	// Line to write. If it is empty, the program writes first, and its output so far counts too.
	Line string
	// Expect is a text that the answer, a line of standard output, must contain. If it is empty, no answer is expected.
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

// logLimit is how much of a program's output is written to its log, in bytes.
const logLimit = 16 << 20

// answersKept is how many JSON lines of a program are kept while nobody waits for an answer.
const answersKept = 16

// Manager owns the programs of an agent.
type Manager struct {
	// Stdout and Stderr, if not nil, get the output of the programs, line by line. They must be set before the first start.
	Stdout, Stderr io.Writer
	// Confine, if not nil, takes rights from each program before it is started, except from one for the network. It gets its pipes too.
	Confine func(cmd *exec.Cmd, output ...io.Reader) error
	// Logs, if not nil, is the folder of the logs. It may be out of reach by its path.
	Logs *os.Root

	mu       sync.Mutex
	programs map[string]*running

	followers followers
}

type running struct {
	spec  Spec
	cmd   *exec.Cmd
	stdin io.WriteCloser
	ended chan struct{}
	err   error

	mu    sync.Mutex
	lines []string      // JSON lines on standard output since the last input
	more  chan struct{} // closed and replaced at each line
	tail  []string      // the last lines of standard error, for errors
	// frozen is true if Freeze has stopped it, and unsaid is the last input since then.
	frozen bool
	unsaid Input
}

// NewManager returns a Manager whose programs end with this process, even if it is killed.
func NewManager() *Manager { return &Manager{programs: map[string]*running{}} }

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
		return fmt.Errorf("program %s is already running", s.Name)
	}
	for path, content := range s.Files {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
			return fmt.Errorf("program %s: %w", s.Name, err)
		}
	}
	cmd := exec.Command(s.Argv[0], s.Argv[1:]...)
	cmd.Env = append(os.Environ(), s.Env...)
	r := &running{spec: s, cmd: cmd, ended: make(chan struct{}), more: make(chan struct{})}
	stdin, err1 := cmd.StdinPipe()
	stdout, err2 := cmd.StdoutPipe()
	stderr, err3 := cmd.StderrPipe()
	if err := errors.Join(err1, err2, err3); err != nil {
		return fmt.Errorf("program %s: %w", s.Name, err)
	}
	if m.Confine != nil && !s.Network {
		if err := m.Confine(cmd, stdout, stderr); err != nil {
			return fmt.Errorf("program %s: %w", s.Name, err)
		}
	}
	logs, err := m.openLog(s.Logs)
	if err != nil {
		return fmt.Errorf("program %s: %w", s.Name, err)
	}
	r.stdin = stdin
	if err := procs.StartChild(cmd); err != nil {
		return fmt.Errorf("program %s: %w", s.Name, err)
	}
	m.programs[s.Name] = r
	pass := func(to io.Writer) func(string) {
		return func(line string) {
			if to != nil {
				fmt.Fprintln(to, line)
			}
			m.followers.pass(s.Name, line)
		}
	}
	go r.read(stdout, stderr, logs, pass(m.Stdout), pass(m.Stderr))
	return nil
}

func (m *Manager) openLog(path string) (io.WriteCloser, error) {
	const flags = os.O_CREATE | os.O_APPEND | os.O_WRONLY
	if path == "" {
		path = os.DevNull
	}
	if m.Logs != nil {
		if name, err := filepath.Rel(m.Logs.Name(), path); err == nil && filepath.IsLocal(name) {
			return m.Logs.OpenFile(name, flags, 0o644)
		}
	}
	return os.OpenFile(path, flags, 0o644)
}

// limited writes whole lines, of both outputs of a program, until there are too many bytes.
type limited struct {
	mu   sync.Mutex
	to   io.Writer
	left int
}

func (l *limited) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left > 0 && l.left <= len(line) {
		fmt.Fprintf(l.to, "relapse: this log has reached its limit of %d MiB; the rest is not kept\n", logLimit>>20)
	}
	l.left -= len(line)
	if l.left <= 0 {
		return len(line), nil
	}
	return l.to.Write(line)
}

func (r *running) read(stdout, stderr io.Reader, logs io.WriteCloser, onStdout, onStderr func(line string)) {
	defer logs.Close()
	kept := &limited{to: logs, left: logLimit}
	var both sync.WaitGroup
	both.Go(func() {
		scan(stdout, func(line string) {
			onStdout(line)
			if !strings.HasPrefix(line, "{") {
				fmt.Fprintln(kept, line)
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
			fmt.Fprintln(kept, line)
			onStderr(line)
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
	_, _ = io.Copy(io.Discard, from) // the program must not block after an overlong line
}

// Send writes a line to a program and waits for the answer, if one is expected. Output that a program writes at its start counts as an
// answer to the first input without a line. A frozen program is not waited for: it gets the last line when it goes on.
func (m *Manager) Send(ctx context.Context, in Input) (string, error) {
	r, err := m.find(in.Name)
	if err != nil {
		return "", err
	}
	if in.Line != "" {
		r.mu.Lock()
		r.lines = nil
		frozen := r.frozen
		if frozen {
			r.unsaid = in
		}
		r.mu.Unlock()
		if frozen {
			return "", nil
		}
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
			return "", r.failed(fmt.Errorf("it ended (%w) before it wrote %q", errOrEnd(r.err), in.Expect))
		case <-ctx.Done():
			return "", r.failed(fmt.Errorf("it did not write %q: %w", in.Expect, ctx.Err()))
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
	return fmt.Errorf("program %s: %w; its last output:\n%s", r.spec.Name, err, strings.Join(r.tail, "\n"))
}

// Watch returns a channel that gets the exit status of the running program when it ends. As in a shell, the status is 128 plus the signal
// number if a signal ended it.
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

// Signal sends a signal to a program's first process, unless that has ended.
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

// Stop ends a program: its input is closed and it gets SIGTERM, then SIGKILL. It is not an error if the program is not running.
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
