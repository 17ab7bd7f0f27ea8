package policy

import (
	"errors"
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
)

// Validate says what is wrong with a policy, as the API server would, and what of it is not enforced here: SCTP and IPv6. Every
// error names the field's path.
func Validate(p *networkingv1.NetworkPolicy) []error {
	v := &validation{name: p.Name}
	v.selector("spec.podSelector", &p.Spec.PodSelector)
	for i, t := range p.Spec.PolicyTypes {
		if t != networkingv1.PolicyTypeIngress && t != networkingv1.PolicyTypeEgress {
			v.add(fmt.Sprintf("spec.policyTypes[%d]", i), "%q is neither Ingress nor Egress", t)
		}
	}
	for i, r := range p.Spec.Ingress {
		v.rule(fmt.Sprintf("spec.ingress[%d]", i), "from", rule{r.From, r.Ports})
	}
	for i, r := range p.Spec.Egress {
		v.rule(fmt.Sprintf("spec.egress[%d]", i), "to", rule{r.To, r.Ports})
	}
	return v.errs
}

type validation struct {
	name string
	errs []error
}

func (v *validation) add(path, format string, a ...any) {
	v.errs = append(v.errs, fmt.Errorf("NetworkPolicy %s: %s: %w", v.name, path, fmt.Errorf(format, a...)))
}

func (v *validation) selector(path string, s *metav1.LabelSelector) {
	if s == nil {
		return
	}
	if _, err := metav1.LabelSelectorAsSelector(s); err != nil {
		v.add(path, "%w", err)
	}
}

func (v *validation) rule(path, side string, r rule) {
	for i, peer := range r.peers {
		at := fmt.Sprintf("%s.%s[%d]", path, side, i)
		v.selector(at+".podSelector", peer.PodSelector)
		v.selector(at+".namespaceSelector", peer.NamespaceSelector)
		selectors := peer.PodSelector != nil || peer.NamespaceSelector != nil
		switch {
		case peer.IPBlock == nil && !selectors:
			v.add(at, "a peer needs podSelector, namespaceSelector or ipBlock")
		case peer.IPBlock != nil && selectors:
			v.add(at, "ipBlock cannot stand beside podSelector or namespaceSelector")
		case peer.IPBlock != nil:
			v.block(at+".ipBlock", peer.IPBlock)
		}
	}
	for i := range r.ports {
		v.port(fmt.Sprintf("%s.ports[%d]", path, i), &r.ports[i])
	}
}

func (v *validation) block(path string, b *networkingv1.IPBlock) {
	outer, err := network(b.CIDR)
	if err != nil {
		v.add(path+".cidr", "%w", err)
		return
	}
	for i, except := range b.Except {
		at := fmt.Sprintf("%s.except[%d]", path, i)
		inner, err := network(except)
		switch {
		case err != nil:
			v.add(at, "%w", err)
		case inner.Bits() <= outer.Bits() || !outer.Contains(inner.Addr()):
			v.add(at, "%s is not inside of %s", except, b.CIDR)
		}
	}
}

func network(cidr string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(cidr)
	if err == nil && !prefix.Addr().Is4() {
		err = fmt.Errorf("%s: only IPv4 is covered", cidr)
	}
	return prefix, err
}

func (v *validation) port(path string, p *networkingv1.NetworkPolicyPort) {
	if name := protocol(p.Protocol); name != corev1.ProtocolTCP && name != corev1.ProtocolUDP {
		v.add(path+".protocol", "%s is not covered, only TCP and UDP", name)
	}
	switch {
	case p.Port == nil:
	case p.Port.Type == intstr.Int:
		v.messages(path+".port", utilvalidation.IsValidPortNum(p.Port.IntValue()))
	default:
		v.messages(path+".port", utilvalidation.IsValidPortName(p.Port.StrVal))
	}
	switch {
	case p.EndPort == nil:
	case p.Port == nil || p.Port.Type != intstr.Int:
		v.add(path+".endPort", "it needs a port that is a number")
	case *p.EndPort < p.Port.IntVal:
		v.add(path+".endPort", "%d is below port %d", *p.EndPort, p.Port.IntVal)
	default:
		v.messages(path+".endPort", utilvalidation.IsValidPortNum(int(*p.EndPort)))
	}
}

func (v *validation) messages(path string, messages []string) {
	for _, m := range messages {
		v.add(path, "%w", errors.New(m))
	}
}
