// Package hold holds packets in user space between two steps of the kernel, and releases them in the order that makes the failure happen.
//
// A chain of our own at a chosen hook and priority hands named flows to an NFQUEUE; a single event loop asks a [Policy]
// what to do with each packet and when; the kernel's own code and counters do the rest.
//
//	queue.go    the nfnetlink_queue client
//	chain.go    the table, chain and rule that feed it
//	policy.go   what a policy is, and the actions it can ask for
//	backlog.go  the packets that a policy keeps
//	pairs.go    the policy "wait for the second packet, then release both"
//	stray.go    the policy "send a copy of a segment with another sequence number behind it"
//	reorder.go  the policy "let later segments overtake this one"
//	fin.go      the policy "let the RST overtake the FIN"
//	impair.go   the policies "delay", "send twice" and "corrupt"
//	slow.go     the policy "only so many each second"
//	hold.go     the engine: Start, Stats, Close
//	packet.go   the few header fields that a policy needs
//	segment.go  those of TCP, and a memory of flows
//	inject.go   a raw socket for packets that a policy makes up
//
// # What happens when something goes wrong
//
// A packet is never held longer than [Spec].MaxHold, whatever the policy does. A full queue passes packets on
// (NFQA_CFG_F_FAIL_OPEN), unless [Spec].Drops is set. On an orderly end nothing is dropped: the rule goes first, then what is held is accepted, then
// the chain goes, then the queue. When the process dies instead, the kernel drops the packets that are held at that very
// moment and, as the rule has the bypass flag, passes all later ones; the table stays behind and does nothing.
//
// Removing any base chain in a network namespace, whoever owns it, makes the kernel drop everything that is queued there:
// __nf_unregister_net_hook calls nf_queue_nf_hook_drop, which flushes all queues of the namespace. So does removing the
// last rule that needs conntrack or NAT, because their hooks go with it. That is why the rule is removed before the held
// packets are released and the chain after that, why a rule that nobody reaches keeps conntrack meanwhile, and why tables
// must not be deleted beside a hold that is holding (replace rules, not chains); [Stats].VerdictErrors tells afterwards. Source: linux net/netfilter/core.c, net/netfilter/nfnetlink_queue.c
// (nfqnl_nf_hook_drop).
//
// # Where it lives
//
// All sockets and files are opened by [Start] in the network namespace of the calling thread; afterwards the namespace of
// the threads that call does not matter. Packets are IPv4.
//
// # Faithfulness
//
// From 5.6 to 6.11 the kernel rewrites a clashing conntrack entry itself when a packet is put back from a queue
// (__nf_conntrack_update), so a race held open there is not the race of production. From 6.12 on it is.
package hold
