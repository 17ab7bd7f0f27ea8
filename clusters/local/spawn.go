// Package local starts agents as child processes in namespaces of their own on this machine: all of the lab, and what lies
// outside of a kind cluster.
package local

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

	"github.com/relapse-k8s/relapse/clusters/sandbox"
	"github.com/relapse-k8s/relapse/harness/agent"
)

// Process is an agent's process and the stream to it.
type Process struct {
	Conn  *agent.Conn
	cmd   *exec.Cmd
	ended chan struct{}
}

// PID of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Programs says where the agent's program lies, and what its processes are given.
type Programs struct {
	// Bin is the folder of relapse-agent.
	Bin string
	// Logs is the folder for what agents say on standard error: PLACE.log, with - for /.
	Logs string
	// Env is the environment of the processes beside the harness's own: KEY=VALUE.
	Env []string
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

// Start starts an agent in new namespaces.
func (p Programs) Start(place string, namespaces uintptr, args ...string) (*Process, error) {
	cmd := exec.Command(filepath.Join(p.Bin, "relapse-agent"), args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces, Pdeathsig: syscall.SIGKILL, Setpgid: true}
	cmd.Env = append(os.Environ(), p.Env...)
	stdin, err1 := cmd.StdinPipe()
	stdout, err2 := cmd.StdoutPipe()
	log, err3 := os.OpenFile(p.LogFile(place), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
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
	started := &Process{Conn: agent.NewConn(place, stdout, stdin), cmd: cmd, ended: make(chan struct{})}
	go func() {
		<-started.Conn.Gone()
		_ = cmd.Wait()
		close(started.ended)
	}()
	return started, nil
}

// LogFile of a place's agent.
func (p Programs) LogFile(place string) string {
	return filepath.Join(p.Logs, strings.ReplaceAll(place, "/", "-")+".log")
}

// StartSandbox starts the agent of a node, a pod or the outside.
func (p Programs) StartSandbox(place string, home sandbox.Home) (*Process, error) {
	argument, err := json.Marshal(home)
	if err != nil {
		return nil, err
	}
	return p.Start(place, sandbox.Namespaces, "sandbox", string(argument))
}

// End closes the stream and waits for the process, which it kills when that takes too long, and at once when ctx has ended.
func (p *Process) End(ctx context.Context) error {
	_ = p.Conn.Close() // it may be gone already
	grace := time.NewTimer(endGrace)
	defer grace.Stop()
	late := fmt.Errorf("%s: the agent did not end within %s and was killed", p.Conn.Name(), endGrace)
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
		return fmt.Errorf("%s: the agent, process %d, is still there %s after it was killed", p.Conn.Name(), p.PID(), killLimit)
	}
}
