package contain

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"sync"
	"syscall"

	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/agent/program"
)

// supervisor runs one program.
type supervisor struct {
	name    string
	manager *program.Manager
	out     Output
	// end gets the status that the supervisor ends with.
	end chan Exit

	mu sync.Mutex // held while the program is started again
	// turn counts the starts: an older program's end is nobody's concern.
	turn int
}

// Supervise runs a container's program and serves its agents on the socket until the program ends by itself; the error is then an Exit.
func Supervise(ctx context.Context, c Container, socket string, out Output) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	spec, err := c.spec()
	if err != nil {
		return err
	}
	s := &supervisor{name: c.Name, manager: program.NewManager(), out: out, end: make(chan Exit, 1)}
	s.manager.Stdout, s.manager.Stderr = out.Stdout, out.Stderr
	listener, err := listen(ctx, socket)
	if err != nil {
		return err
	}
	defer listener.Close()
	// Before the start: from then on a signal is for the program.
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, forwarded...)
	defer signal.Stop(signals)
	if err := s.manager.Start(spec); err != nil {
		return fmt.Errorf("contain: %w", err)
	}
	if err := s.watch(); err != nil {
		return err
	}
	go s.accept(ctx, listener)
	for {
		select {
		case status := <-s.end:
			return status
		case sig := <-signals:
			s.pass(ctx, sig)
		case <-ctx.Done():
			return errors.Join(ctx.Err(), s.manager.Stop(s.name))
		}
	}
}

func listen(ctx context.Context, socket string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(socket), 0o755); err != nil {
		return nil, fmt.Errorf("contain: %w", err)
	}
	// The file system of a container that is started again may be the one of before.
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("contain: %w", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "unix", socket)
	if err != nil {
		return nil, fmt.Errorf("contain: %w", err)
	}
	return listener, nil
}

// watch ends the supervisor when the program, as it was started last, ends by itself. It is called with the mutex held, or before
// there is anybody else.
func (s *supervisor) watch() error {
	ended, err := s.manager.Watch(s.name)
	if err != nil {
		return err
	}
	s.turn++
	turn := s.turn
	go func() {
		status := <-ended
		s.mu.Lock()
		defer s.mu.Unlock()
		if turn == s.turn {
			s.finish(Exit(status))
		}
	}()
	return nil
}

func (s *supervisor) finish(status Exit) {
	select {
	case s.end <- status:
	default: // it ends already
	}
}

// pass gives a signal to the program. A supervisor without one, because it could not be started again, is told to end.
func (s *supervisor) pass(ctx context.Context, sig os.Signal) {
	number, _ := sig.(syscall.Signal)
	if s.manager.Alive(ctx, s.name) != nil && (number == syscall.SIGTERM || number == syscall.SIGINT || number == syscall.SIGQUIT) {
		s.finish(Exit(128 + int(number)))
		return
	}
	if err := s.manager.Signal(s.name, sig); err != nil {
		fmt.Fprintln(s.out.Stderr, "relapse-agent: contain:", err)
	}
}

func (s *supervisor) accept(ctx context.Context, listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return // closed
		}
		go func() {
			defer conn.Close()
			s.serve(ctx, conn)
		}()
	}
}

// serve answers one agent, and when its stream breaks, for whatever reason, starts the program as it was before that agent came.
func (s *supervisor) serve(ctx context.Context, conn net.Conn) {
	visit := &visit{supervisor: s}
	ops := map[string]agent.Handler{}
	program.Serve(ops, visit)
	if err := agent.Serve(ctx, conn, conn, ops); err != nil && ctx.Err() == nil {
		fmt.Fprintln(s.out.Stderr, "relapse-agent: contain:", err)
	}
	if err := visit.leave(context.WithoutCancel(ctx)); err != nil && ctx.Err() == nil {
		// The kubelet starts the container again, as the pod says.
		fmt.Fprintln(s.out.Stderr, "relapse-agent: contain: the program cannot be started as it was:", err)
		s.finish(1)
	}
}

// restart starts the program as spec says. While that is under way, and after it has failed, the end of the program is not the
// container's: who asked for it is told, and puts it right.
func (s *supervisor) restart(ctx context.Context, spec program.Spec, ports []uint16) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn++
	if err := s.manager.Restart(ctx, spec, ports); err != nil {
		return err
	}
	return s.watch()
}

// visit is what one agent sees of the supervisor.
type visit struct {
	*supervisor

	changing sync.Mutex
	// before is the program as the agent has found it, once it has changed it, and ports are those that it listened on.
	before *program.Spec
	ports  []uint16
	// frozen is true if the agent has frozen the program.
	frozen bool
}

// Names is the container's.
func (v *visit) Names(ctx context.Context) ([]string, error) { return v.manager.Names(ctx) }

// Spec of the program.
func (v *visit) Spec(ctx context.Context, name string) (program.Spec, error) {
	return v.manager.Spec(ctx, name)
}

// Alive says whether it runs.
func (v *visit) Alive(ctx context.Context, name string) error { return v.manager.Alive(ctx, name) }

// Ports that it listens on.
func (v *visit) Ports(ctx context.Context, name string) ([]uint16, error) {
	return v.manager.Ports(ctx, name)
}

// Follow its lines.
func (v *visit) Follow(ctx context.Context, f program.Following, say func(string)) error {
	return v.manager.Follow(ctx, f, say)
}

// Restart remembers what was there.
func (v *visit) Restart(ctx context.Context, s program.Spec, ports []uint16) error {
	v.changing.Lock()
	defer v.changing.Unlock()
	if v.before == nil {
		before, err := v.manager.Spec(ctx, s.Name)
		if err != nil {
			return err
		}
		if v.ports, err = v.manager.Ports(ctx, s.Name); err != nil {
			return err
		}
		v.before = &before
	}
	return v.restart(ctx, s, ports)
}

// Freeze remembers it.
func (v *visit) Freeze(ctx context.Context, name string, frozen bool) error {
	v.changing.Lock()
	defer v.changing.Unlock()
	v.frozen = frozen
	return v.manager.Freeze(ctx, name, frozen)
}

// Frozen says whether it is frozen.
func (v *visit) Frozen(ctx context.Context, name string) (bool, error) {
	return v.manager.Frozen(ctx, name)
}

// leave puts it back.
func (v *visit) leave(ctx context.Context) error {
	v.changing.Lock()
	defer v.changing.Unlock()
	if v.frozen {
		if err := v.manager.Freeze(ctx, v.name, false); err != nil {
			return err
		}
	}
	if v.before == nil {
		return nil
	}
	now, err := v.manager.Spec(ctx, v.name)
	if err == nil && v.manager.Alive(ctx, v.name) == nil && same(now, *v.before) {
		return nil
	}
	return v.restart(ctx, *v.before, v.ports)
}

func same(a, b program.Spec) bool {
	return slices.Equal(a.Argv, b.Argv) && maps.Equal(a.Files, b.Files) && slices.Equal(a.Env, b.Env)
}
