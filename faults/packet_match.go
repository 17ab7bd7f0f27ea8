package faults

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/relapse-k8s/relapse/clusters/netfilter/nftrule"
)

// PacketMatch says on which IPv4 packets a change acts: those that match all that is given.
type PacketMatch struct {
	// At is where packets are caught: input for those to the place itself, output for those that it sends, forward for those that it passes
	// on, prerouting for all that come, before conntrack and before Services' addresses are translated, postrouting for all that leave.
	At string `json:"at" jsonschema:"enum=prerouting,enum=input,enum=forward,enum=output,enum=postrouting"`
	// Protocol of the packets. Default: any.
	Protocol string `json:"protocol,omitempty" jsonschema:"enum=tcp,enum=udp,enum=icmp"`
	// Port is their destination port. Everywhere but at prerouting that is the pod's, not the Service's.
	Port int `json:"port,omitempty" jsonschema:"minimum=1,maximum=65535"`
	// SourcePort is their source port: the server's, in its answers.
	SourcePort int `json:"sourcePort,omitempty" jsonschema:"minimum=1,maximum=65535"`
	// From is their source, an IPv4 address or a CIDR.
	From string `json:"from,omitempty"`
	// To is their destination, an IPv4 address or a CIDR.
	To string `json:"to,omitempty"`
	// FromPod is the pod whose address is their source.
	FromPod string `json:"fromPod,omitempty" ref:"pod"`
	// ToPod is the pod whose address is their destination.
	ToPod string `json:"toPod,omitempty" ref:"pod"`
	// Flags are the TCP flags that are set; others of syn, ack, fin and rst are not. [syn] is the first packet of a connection.
	Flags []string `json:"flags,omitempty" jsonschema:"enum=syn,enum=ack,enum=fin,enum=rst"`
	// ICMP is the type of message, by number or name, and its code: echo-request, or 3/4, which is fragmentation-needed.
	ICMP string `json:"icmp,omitempty"`
	// State is what conntrack says of their connection. INVALID packets belong to none.
	State string `json:"state,omitempty" jsonschema:"enum=new,enum=established,enum=related,enum=invalid,enum=untracked"`
}

var (
	tcpFlags   = map[string]byte{"fin": 0x01, "syn": 0x02, "rst": 0x04, "ack": 0x10}
	icmpTypes  = map[string]string{"echo-reply": "0", "destination-unreachable": "3", "port-unreachable": "3/3", "fragmentation-needed": "3/4", "echo-request": "8", "time-exceeded": "11"}
	protocols  = map[string]byte{"tcp": syscall.IPPROTO_TCP, "udp": syscall.IPPROTO_UDP, "icmp": syscall.IPPROTO_ICMP}
	flowStates = map[string]uint32{
		"new": expr.CtStateBitNEW, "established": expr.CtStateBitESTABLISHED, "related": expr.CtStateBitRELATED,
		"invalid": expr.CtStateBitINVALID, "untracked": expr.CtStateBitUNTRACKED,
	}
	// hooks are the points, each with the priority that fits: before conntrack, before all filters, and after the choice of source ports.
	hooks = map[string]struct {
		hook     *nftables.ChainHook
		priority int32
	}{
		"prerouting": {nftables.ChainHookPrerouting, -300}, "input": {nftables.ChainHookInput, -10}, "forward": {nftables.ChainHookForward, -10},
		"output": {nftables.ChainHookOutput, -10}, "postrouting": {nftables.ChainHookPostrouting, 300},
	}
)

// Validate refuses what no packet can be.
func (m *PacketMatch) Validate() error {
	protocol := m.protocol()
	_, icmpErr := icmpType(m.ICMP)
	switch {
	case (m.Port > 0 || m.SourcePort > 0) && protocol != "tcp" && protocol != "udp":
		return errors.New("port and sourcePort need protocol: tcp or udp")
	case len(m.Flags) > 0 && protocol != "tcp":
		return errors.New("flags are those of TCP")
	case m.ICMP != "" && protocol != "icmp":
		return errors.New("icmp needs protocol: icmp, or none")
	case m.ICMP != "" && icmpErr != nil:
		return icmpErr
	case m.From != "" && m.FromPod != "" || m.To != "" && m.ToPod != "":
		return errors.New("give an address or a pod, and not both")
	case m.State != "" && m.At == "prerouting":
		return errors.New("at prerouting packets have no state yet")
	}
	for field, text := range map[string]string{"from": m.From, "to": m.To} {
		if text == "" {
			continue
		}
		if _, err := network(field, text); err != nil {
			return err
		}
	}
	return nil
}

// NeedsAddresses names the pods that must be told by their addresses.
func (m *PacketMatch) NeedsAddresses() []string {
	return slices.DeleteFunc([]string{m.FromPod, m.ToPod}, func(pod string) bool { return pod == "" })
}

func (m *PacketMatch) protocol() string {
	switch {
	case m.Protocol == "" && len(m.Flags) > 0:
		return "tcp"
	case m.Protocol == "" && m.ICMP != "":
		return "icmp"
	}
	return m.Protocol
}

// network is an address or a CIDR.
func network(field, text string) (netip.Prefix, error) {
	if !strings.Contains(text, "/") {
		text += "/32"
	}
	if err := ipv4Network(field, text); err != nil {
		return netip.Prefix{}, err
	}
	return netip.ParsePrefix(text)
}

// icmpType is the type, and the code if there is one.
func icmpType(text string) (numbers []byte, err error) {
	if known, ok := icmpTypes[text]; ok {
		text = known
	}
	kind, code, coded := strings.Cut(text, "/")
	for i, part := range []string{kind, code} {
		if i == 1 && !coded {
			break
		}
		number, err := strconv.ParseUint(part, 10, 8)
		if err != nil {
			return nil, fmt.Errorf("icmp: %q is neither a type, such as echo-request, nor type/code, such as 3/4", text)
		}
		numbers = append(numbers, byte(number))
	}
	return numbers, nil
}

// exprs are the matches.
func (m *PacketMatch) exprs(ns *Namespace) (all []expr.Any, err error) {
	if protocol := m.protocol(); protocol != "" {
		all = append(all, nftrule.Protocol(protocols[protocol])...)
	}
	for side, port := range []int{nftrule.Source: m.SourcePort, nftrule.Destination: m.Port} {
		if port > 0 {
			all = append(all, nftrule.Ports(nftrule.Side(side), uint16(port), uint16(port))...)
		}
	}
	for side, end := range []struct{ text, pod string }{nftrule.Source: {m.From, m.FromPod}, nftrule.Destination: {m.To, m.ToPod}} {
		if end.pod != "" {
			end.text = ns.Addresses[end.pod].String()
		}
		if end.text == "" {
			continue
		}
		prefix, err := network("address", end.text)
		if err != nil {
			return nil, err
		}
		all = append(all, nftrule.Address(nftrule.Side(side), expr.CmpOpEq, prefix)...)
	}
	if len(m.Flags) > 0 {
		var set, mask byte
		for _, flag := range tcpFlags {
			mask |= flag
		}
		for _, name := range m.Flags {
			set |= tcpFlags[name]
		}
		all = append(all, nftrule.Flags(set, mask)...)
	}
	if m.ICMP != "" {
		numbers, err := icmpType(m.ICMP)
		if err != nil {
			return nil, err
		}
		all = append(all, nftrule.ICMP(numbers...)...)
	}
	if m.State != "" {
		all = append(all, nftrule.State(flowStates[m.State])...)
	}
	return append(all, &expr.Counter{}), nil
}
