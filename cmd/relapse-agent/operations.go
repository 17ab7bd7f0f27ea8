package main

import (
	"github.com/relapse-k8s/relapse/clusters/lab/policy/enforce"
	"github.com/relapse-k8s/relapse/clusters/netconf"
	"github.com/relapse-k8s/relapse/faults"
	"github.com/relapse-k8s/relapse/harness/agent"
	"github.com/relapse-k8s/relapse/harness/probes"
	"github.com/relapse-k8s/relapse/harness/program"
	"github.com/relapse-k8s/relapse/harness/readers"
	"github.com/relapse-k8s/relapse/harness/undo"
)

// operations are all that an agent serves. Own are the programs that it starts itself, programs those of its place.
func operations(stack *undo.Stack, own *program.Manager, programs program.Keeper) map[string]agent.Handler {
	ops := map[string]agent.Handler{}
	own.Register(ops)
	program.Serve(ops, programs)
	sampled := &probes.Server{}
	sampled.Register(ops)
	(&faults.Server{Stack: stack, Programs: programs, Clients: sampled}).Register(ops)
	readers.Register(ops, map[string]readers.Reader{"policy": enforce.Readings})
	(&enforce.Enforcer{}).Register(ops)
	readers.RunCommand.Handle(ops, readers.HandleCommand)
	readers.Capture.Handle(ops, readers.HandleCapture)
	readers.FollowKernelLog.Handle(ops, readers.HandleKernelLog)
	netconf.Configure.Handle(ops, netconf.HandleConfigure)
	netconf.Connect.Handle(ops, netconf.HandleConnect)
	netconf.Forget.Handle(ops, netconf.HandleForget)
	netconf.Reach.Handle(ops, netconf.HandleReach)
	netconf.ProbeOffers.Handle(ops, netconf.HandleProbeOffers)
	readers.TakeFingerprint.Handle(ops, readers.HandleFingerprint)
	readers.ReadNetns.Handle(ops, readers.HandleNetns)
	return ops
}
