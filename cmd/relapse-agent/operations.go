package main

import (
	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/agent/enforce"
	"github.com/relapse-k8s/relapse/clusters/agent/features"
	"github.com/relapse-k8s/relapse/clusters/agent/netconf"
	"github.com/relapse-k8s/relapse/clusters/agent/probes"
	"github.com/relapse-k8s/relapse/clusters/agent/program"
	"github.com/relapse-k8s/relapse/clusters/agent/readers"
	"github.com/relapse-k8s/relapse/clusters/agent/undo"
	"github.com/relapse-k8s/relapse/faults"
)

// operations returns the handlers of an agent. Own are the programs that it starts itself, programs those of its place.
func operations(stack *undo.Stack, own *program.Manager, programs program.Keeper) map[string]agent.Handler {
	ops := map[string]agent.Handler{}
	own.Register(ops)
	program.Serve(ops, programs)
	sampled := &probes.Server{}
	sampled.Register(ops)
	(&faults.Server{Stack: stack, Own: own, Programs: programs, Clients: sampled}).Register(ops)
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
