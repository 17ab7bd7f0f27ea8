package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/relapse-k8s/relapse/clusters/lab/sandbox"
	"github.com/relapse-k8s/relapse/harness/agent"
)

// process is an agent's process and the stream to it.
type process struct {
	conn  *agent.Conn
	cmd   *exec.Cmd
	ended chan struct{}
}

// endGrace is how long an agent may take to end before it is killed. What it has not undone by then goes with its namespace.
const endGrace = 5 * time.Second

// killLimit is how long the kernel may take to end a process that was killed.
const killLimit = 10 * time.Second

// spawn runs f on a thread that lives as long as the program: the parent-death signal of a child comes when the thread that
// started it ends.
var spawn = sync.OnceValue(func() func(func()) {
	calls := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range calls {
			f()
		}
	}()
	return func(f func()) {
		done := make(chan struct{})
		calls <- func() { f(); close(done) }
		<-done
	}
})

// start starts an agent in new namespaces.
func (l *Lab) start(place string, namespaces uintptr, logs string, env []string, args ...string) (*process, error) {
	cmd := exec.Command(filepath.Join(l.Bin, "relapse-agent"), args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces, Pdeathsig: syscall.SIGKILL, Setpgid: true}
	cmd.Env = append(os.Environ(), env...)
	stdin, err1 := cmd.StdinPipe()
	stdout, err2 := cmd.StdoutPipe()
	log, err3 := os.OpenFile(filepath.Join(logs, strings.ReplaceAll(place, "/", "-")+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, fmt.Errorf("%s: %w", place, err)
	}
	defer log.Close()
	cmd.Stderr = log
	var err error
	spawn()(func() { err = cmd.Start() })
	if err != nil {
		return nil, fmt.Errorf("%s: start in namespaces of its own: %w", place, err)
	}
	p := &process{conn: agent.NewConn(place, stdout, stdin), cmd: cmd, ended: make(chan struct{})}
	go func() {
		<-p.conn.Gone()
		_ = cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// startSandbox starts the agent of a node, a pod or the outside.
func (l *Lab) startSandbox(place, logs string, env []string, home sandbox.Home) (*process, error) {
	argument, err := json.Marshal(home)
	if err != nil {
		return nil, err
	}
	return l.start(place, sandbox.Namespaces, logs, env, "sandbox", string(argument))
}

// end closes the stream and waits for the process, which it kills when that takes too long, and at once when ctx has ended.
func (p *process) end(ctx context.Context) error {
	_ = p.conn.Close() // it may be gone already
	grace := time.NewTimer(endGrace)
	defer grace.Stop()
	late := fmt.Errorf("%s: the agent did not end within %s and was killed", p.conn.Name(), endGrace)
	select {
	case <-p.ended:
		return nil
	case <-grace.C:
	case <-ctx.Done():
		late = nil
	}
	_ = p.cmd.Process.Kill()
	limit := time.NewTimer(killLimit)
	defer limit.Stop()
	select {
	case <-p.ended:
		return late
	case <-limit.C:
		return fmt.Errorf("%s: the agent, process %d, is still there %s after it was killed", p.conn.Name(), p.cmd.Process.Pid, killLimit)
	}
}
