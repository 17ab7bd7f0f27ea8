package enforce

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/netfilter/nftrule"
)

// Group is the NFLOG group of a node to which packets are logged before they are dropped. Without a listener the kernel does nothing.
const Group = 100

// snapLength is enough for the headers of IPv4 and its options, and of TCP.
const snapLength = 128

// chainName is the name by which a pod's rules can be found in nft list ruleset.
func (i Isolated) chainName() string { return i.Direction + "-" + i.Namespace + "/" + i.Pod }

// jump sends a pod's packets of the direction to its chain: ip saddr 10.244.1.2 jump egress-default/client.
func (i Isolated) jump() ([]expr.Any, error) {
	ip, err := netip.ParseAddr(i.IP)
	if err != nil {
		return nil, err
	}
	own, _ := i.sides()
	return append(nftrule.Address(own, expr.CmpOpEq, netip.PrefixFrom(ip, ip.BitLen())), &expr.Verdict{Kind: expr.VerdictJump, Chain: i.chainName()}), nil
}

// sides are the address of the pod and the address of its peer, in a packet of the direction.
func (i Isolated) sides() (own, peer nftrule.Side) {
	if i.Direction == Egress {
		return nftrule.Source, nftrule.Destination
	}
	return nftrule.Destination, nftrule.Source
}

// rules of the pod's chain. What is allowed returns, because the pod at the other end may be isolated as well.
func (i Isolated) rules(prefix string) ([][]expr.Any, error) {
	_, peer := i.sides()
	back := &expr.Verdict{Kind: expr.VerdictReturn}
	// A policy cannot block a pod's traffic to itself. Source: Kubernetes documentation, Network Policies, "The two sorts of pod isolation".
	itself, err := Allow{CIDR: i.IP + "/32"}.match(peer)
	if err != nil {
		return nil, err
	}
	rules := [][]expr.Any{append(itself, back)}
	for _, allow := range i.Allow {
		match, err := allow.match(peer)
		if err != nil {
			return nil, err
		}
		rules = append(rules, append(match, back))
	}
	// No rate limit: it would lose the first packet of one flow among many of another. The listener ignores repeats.
	return append(rules, []expr.Any{
		&expr.Objref{Type: unix.NFT_OBJECT_COUNTER, Name: i.Direction},
		&expr.Log{
			Key:   1<<unix.NFTA_LOG_GROUP | 1<<unix.NFTA_LOG_PREFIX | 1<<unix.NFTA_LOG_SNAPLEN,
			Group: Group, Snaplen: snapLength, Data: []byte(prefix),
		},
		&expr.Verdict{Kind: expr.VerdictDrop},
	}), nil
}

func (a Allow) match(peer nftrule.Side) ([]expr.Any, error) {
	var exprs []expr.Any
	for n, cidr := range append([]string{a.CIDR}, a.Except...) {
		if cidr == "" {
			continue
		}
		prefix, err := netip.ParsePrefix(cidr)
		if err != nil {
			return nil, err
		}
		op := expr.CmpOpEq
		if n > 0 {
			op = expr.CmpOpNeq
		}
		exprs = append(exprs, nftrule.Address(peer, op, prefix)...)
	}
	if a.Protocol == "" {
		return exprs, nil
	}
	number, ok := map[string]byte{"TCP": unix.IPPROTO_TCP, "UDP": unix.IPPROTO_UDP}[a.Protocol]
	if !ok {
		return nil, fmt.Errorf("protocol %q must be TCP or UDP", a.Protocol)
	}
	exprs = append(exprs, nftrule.Protocol(number)...)
	if a.From == 0 {
		return exprs, nil
	}
	return append(exprs, nftrule.Ports(nftrule.Destination, a.From, a.To)...), nil
}

// established matches packets of connections that were allowed before, their answers, and ICMP errors about them.
func established() []expr.Any {
	return append(nftrule.State(expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED), &expr.Verdict{Kind: expr.VerdictAccept})
}

// key identifies what a log prefix stands for.
func (i Isolated) key() string {
	return fmt.Sprint(i.chainName(), slices.Sorted(slices.Values(i.Policies)))
}
