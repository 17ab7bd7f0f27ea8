// Package local starts agents as child processes in their own namespaces on this machine: all agents of the lab, and the outside host of
// a kind cluster.
package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/agent/procs"
	"github.com/relapse-k8s/relapse/clusters/agent/sandbox"
	"github.com/relapse-k8s/relapse/clusters/limits"
)

// Process is an agent's process and the stream to it.
type Process struct {
	Conn  *agent.Conn
	cmd   *exec.Cmd
	ended chan struct{}
}

// PID of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Programs has the folder of the agent's program, and settings for its processes.
type Programs struct {
	// Bin is the folder of relapse-agent.
	Bin string
	// Logs is the folder for the standard error of agents: PLACE.log, with - for /.
	Logs string
	// Env is the environment of the processes: KEY=VALUE. Of the harness's they get only PATH and relapse's own variables.
	Env []string
}

// Start starts an agent in new namespaces.
func (p Programs) Start(place string, namespaces uintptr, args ...string) (*Process, error) {
	cmd := exec.Command(filepath.Join(p.Bin, "relapse-agent"), args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces}
	cmd.Env = append(slices.DeleteFunc(os.Environ(), foreign), p.Env...)
	stdin, err1 := cmd.StdinPipe()
	stdout, err2 := cmd.StdoutPipe()
	log, err3 := os.OpenFile(p.LogFile(place), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, fmt.Errorf("%s: %w", place, err)
	}
	defer log.Close()
	cmd.Stderr = log
	if err := procs.StartChild(cmd); err != nil {
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

// foreign says whether a variable is not for agents: others may be secret.
func foreign(variable string) bool {
	return !strings.HasPrefix(variable, "PATH=") && !strings.HasPrefix(variable, "RELAPSE_")
}

// LogFile of a place's agent.
func (p Programs) LogFile(place string) string {
	return filepath.Join(p.Logs, strings.ReplaceAll(place, "/", "-")+".log")
}

// StartSandbox starts the agent of a node, a pod or the outside.
func (p Programs) StartSandbox(place string, home sandbox.Home) (*Process, error) {
	for _, name := range []string{"relapse-agent", "relapse-coredns", "relapse-kube-proxy"} {
		path, err := filepath.Abs(filepath.Join(p.Bin, name))
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(path); err == nil { // kind has no kube-proxy of ours
			home.Programs = append(home.Programs, path)
		}
	}
	argument, err := json.Marshal(home)
	if err != nil {
		return nil, err
	}
	logs, err := filepath.Abs(p.Logs)
	if err != nil {
		return nil, err
	}
	return p.Start(place, sandbox.Namespaces, "sandbox", logs, string(argument))
}

// End closes the stream and waits for the process. It kills the process if that takes too long, or at once if ctx has ended.
func (p *Process) End(ctx context.Context) error {
	_ = p.Conn.Close() // it may be gone already
	grace := time.NewTimer(limits.AgentEnds)
	defer grace.Stop()
	late := fmt.Errorf("%s: the agent did not end within %s and was killed", p.Conn.Name(), limits.AgentEnds)
	select {
	case <-p.ended:
		return nil
	case <-grace.C:
	case <-ctx.Done():
		late = nil
	}
	_ = p.cmd.Process.Kill()
	limit := time.NewTimer(limits.Killed)
	defer limit.Stop()
	select {
	case <-p.ended:
		return late
	case <-limit.C:
		return fmt.Errorf("%s: the agent, process %d, has not ended %s after it was killed", p.Conn.Name(), p.PID(), limits.Killed)
	}
}
