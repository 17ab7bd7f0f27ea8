package logs

import (
	"cmp"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// Drop is a packet that a network policy dropped, in terms of pods, as kube-iptables-tailer and Hubble tell it.
type Drop struct {
	// Namespace and Pod are whose policy it is.
	Namespace, Pod string
	// Direction is ingress or egress, as the pod sees it.
	Direction string
	// Policies that isolate the pod, as NAMESPACE/NAME. Not everybody who drops packets says so.
	Policies []string
	// Address of the other end, and its NAMESPACE/POD if it is a pod.
	Address, Peer string
	// Protocol in lower case, and the destination port, or 0.
	Protocol string
	Port     uint16
}

// Line is the drop at a node.
func (d Drop) Line(node string) Line {
	fields := map[string]string{
		"namespace": d.Namespace, "pod": d.Pod, "direction": d.Direction, "policy": strings.Join(d.Policies, ","),
		"peer": cmp.Or(d.Peer, d.Address), "protocol": d.Protocol,
	}
	whose, egress := "", d.Direction == "egress"
	if d.Peer != "" {
		whose = " (" + d.Peer + ")"
	}
	var what string
	switch port := strconv.Itoa(int(d.Port)); {
	case d.Port != 0 && egress:
		what = fmt.Sprintf("to %s/%s%s", net.JoinHostPort(d.Address, port), d.Protocol, whose)
	case d.Port != 0:
		what = fmt.Sprintf("from %s%s to port %s/%s", d.Address, whose, port, d.Protocol)
	case egress:
		what = fmt.Sprintf("to %s%s, %s,", d.Address, whose, d.Protocol)
	default:
		what = fmt.Sprintf("from %s%s, %s,", d.Address, whose, d.Protocol)
	}
	if d.Port != 0 {
		fields["port"] = strconv.Itoa(int(d.Port))
	}
	line := fmt.Sprintf("%s of %s/%s %s dropped", d.Direction, d.Namespace, d.Pod, what)
	if len(d.Policies) > 0 {
		line += ": isolated by " + strings.Join(d.Policies, ", ")
	}
	return Line{Source: SourcePolicy, Event: PolicyDrop, On: node, Fields: fields, Line: line}
}
