package main

import (
	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/agent/enforce"
	"github.com/relapse-k8s/relapse/clusters/agent/features"
	"github.com/relapse-k8s/relapse/clusters/agent/netconf"
	"github.com/relapse-k8s/relapse/clusters/agent/probes"
	"github.com/relapse-k8s/relapse/clusters/agent/procs"
	"github.com/relapse-k8s/relapse/clusters/agent/program"
	"github.com/relapse-k8s/relapse/clusters/agent/readers"
	"github.com/relapse-k8s/relapse/clusters/agent/undo"
	"github.com/relapse-k8s/relapse/faults"
)

// surroundings are what an agent has around it.
type surroundings struct {
	// own are the programs that it starts itself, programs those of its place.
	own      *program.Manager
	programs program.Keeper
	// processes finds processes of a real node by their name. It is nil elsewhere.
	processes func(name string) ([]procs.ID, error)
}

// operations returns the handlers of an agent.
func operations(stack *undo.Stack, at surroundings) map[string]agent.Handler {
	ops := map[string]agent.Handler{}
	at.own.Register(ops)
	program.Serve(ops, at.programs)
	sampled := &probes.Server{}
	sampled.Register(ops)
	(&faults.Server{Stack: stack, Own: at.own, Programs: at.programs, Processes: at.processes, Clients: sampled}).Register(ops)
	readers.Read.Handle(ops, readers.HandleRead)
	(&enforce.Enforcer{}).Register(ops)
	readers.RunCommand.Handle(ops, readers.HandleCommand)
	readers.Capture.Handle(ops, readers.HandleCapture)
	readers.FollowKernelLog.Handle(ops, readers.HandleKernelLog)
	netconf.Configure.Handle(ops, netconf.HandleConfigure)
	netconf.Connect.Handle(ops, netconf.HandleConnect)
	netconf.Forget.Handle(ops, netconf.HandleForget)
	netconf.Reach.Handle(ops, netconf.HandleReach)
	features.Probe.Handle(ops, features.HandleProbe)
	readers.TakeFingerprint.Handle(ops, readers.HandleFingerprint)
	readers.ReadNetns.Handle(ops, readers.HandleNetns)
	return ops
}
