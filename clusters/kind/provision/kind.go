package provision

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"sigs.k8s.io/kind/pkg/cluster"
	kindexec "sigs.k8s.io/kind/pkg/exec"

	"github.com/relapse-k8s/relapse/clusters/agent/await"
	"github.com/relapse-k8s/relapse/clusters/agent/containers"
	"github.com/relapse-k8s/relapse/clusters/limits"
	"github.com/relapse-k8s/relapse/clusters/outside"
)

// environment is locked by the call of kind that is making nodes. Until they are made, kind reads the process's environment: the name of
// the network, proxies, and the PATH with the engine's client program.
var environment sync.Mutex

// networkEnv names the network that kind puts nodes on.
const networkEnv = "KIND_EXPERIMENTAL_DOCKER_NETWORK"

// configEnv names the folder with the configuration of the engine's client.
const configEnv = "DOCKER_CONFIG"

var proxyEnv = []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"}

// runKind makes nodes and has kubeadm make a cluster of them. kind does not take a context: it ends when its containers are removed.
func (m *maker) runKind(ctx context.Context) error {
	dir, err := os.MkdirTemp(m.scratch(), "relapse-kind-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	release, err := m.setEnvironment(dir)
	if err != nil {
		return err
	}
	defer release()
	log, err := m.openLog("kind.log")
	if err != nil {
		return err
	}
	defer log.Close()
	preparing := false
	logger := &logger{w: log, status: func(text string) {
		m.Spec.tell("kind: " + strings.ToLower(text))
		// The steps after making the nodes do not need the environment.
		if preparing {
			release()
		}
		preparing = preparing || strings.HasPrefix(text, "Preparing nodes")
	}}
	err = cluster.NewProvider(cluster.ProviderWithDocker(), cluster.ProviderWithLogger(logger)).Create(m.Spec.Name,
		cluster.CreateWithV1Alpha4Config(m.kindConfig()), cluster.CreateWithRetain(true),
		cluster.CreateWithKubeconfigPath(filepath.Join(dir, "kubeconfig")),
		cluster.CreateWithDisplayUsage(false), cluster.CreateWithDisplaySalutation(false))
	return explain(err)
}

// setEnvironment sets the environment for kind, including a folder with the wrapper on the PATH, until release is called.
func (m *maker) setEnvironment(dir string) (release func(), err error) {
	environment.Lock()
	docker, err := exec.LookPath(m.engine.Program)
	if err == nil {
		err = writeProgram(filepath.Join(dir, m.engine.Program), m.wrapper(docker))
	}
	if err != nil {
		environment.Unlock()
		return nil, err
	}
	// kind reads proxies from the engine's configuration too. The wrapper restores that variable for the engine's client.
	restore := setEnv(map[string]string{
		networkEnv: m.Network, "PATH": dir + string(os.PathListSeparator) + os.Getenv("PATH"), configEnv: dir,
	}, proxyEnv)
	return sync.OnceFunc(func() { restore(); environment.Unlock() }), nil
}

// writeProgram writes a program that is started soon. A process that is forked meanwhile would hold the file open until it executes its own
// program, and one that is being written cannot be started: text file busy.
func writeProgram(path, text string) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return os.WriteFile(path, []byte(text), 0o755)
}

// scratch is a folder that is removed with the run, even if the harness is killed. Without a guard it is an ordinary temporary folder.
func (m *maker) scratch() string {
	if m.made.guard != nil {
		return m.made.guard.State().Folder()
	}
	return ""
}

// wrapper is a script that kind calls in place of the engine's client. It adds a label to a cluster's containers. Unless they may send to
// the outside, it also removes proxies and sets the DNS server of the place outside for names that the engine does not know. Otherwise
// the engine would ask the machine's own server, past the fence.
func (m *maker) wrapper(docker string) string {
	config := "unset " + configEnv
	if dir, ok := os.LookupEnv(configEnv); ok {
		config = fmt.Sprintf("export %s='%s'", configEnv, dir)
	}
	extra := "--label " + containers.LabelInstance + "=" + m.instance
	if !m.Spec.AllowEgress {
		extra += " --dns " + outside.DNS + " --dns-search ."
		for _, name := range proxyEnv {
			extra += " --env " + name + "="
		}
	}
	return fmt.Sprintf(`#!/bin/sh
%s
[ "$1" = run ] || exec '%s' "$@"
shift
exec '%[2]s' run %s "$@"
`, config, docker, extra)
}

// setEnv sets and unsets environment variables, and returns a function that restores them.
func setEnv(set map[string]string, unset []string) (restore func()) {
	var undo []func()
	keep := func(name string) {
		if old, ok := os.LookupEnv(name); ok {
			undo = append(undo, func() { os.Setenv(name, old) })
		} else {
			undo = append(undo, func() { os.Unsetenv(name) })
		}
	}
	for name, value := range set {
		keep(name)
		os.Setenv(name, value)
	}
	for _, name := range unset {
		keep(name)
		os.Unsetenv(name)
	}
	return func() {
		for _, f := range undo {
			f()
		}
	}
}

// lastLines is how much of a failed command's output an error carries.
const lastLines = 15

// explain adds the output of the failed command to an error of kind.
func explain(err error) error {
	if err == nil {
		return nil
	}
	failed := kindexec.RunErrorForError(err)
	if failed == nil {
		return err
	}
	lines := strings.Split(strings.TrimSpace(string(failed.Output)), "\n")
	if cut := len(lines) - lastLines; cut > 0 {
		lines = append([]string{fmt.Sprintf("(%d lines before)", cut)}, lines[cut:]...)
	}
	return fmt.Errorf("%w:\n%s", err, strings.Join(lines, "\n"))
}

// endKind removes kind's containers until kind gives up.
func (m *maker) endKind(ctx context.Context) error {
	return await.Until(context.WithoutCancel(ctx), limits.KindGivesUp, limits.Poll, func(ctx context.Context) (string, error) {
		select {
		case <-m.kind:
			return "", nil
		default:
		}
		return "kind has not given up though its containers were removed", m.containers().Undo(ctx)
	})
}
