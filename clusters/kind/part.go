package kind

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"regexp"
	"runtime"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/agent/fingerprint"
	"github.com/relapse-k8s/relapse/clusters/kind/kubeobjects"
	"github.com/relapse-k8s/relapse/clusters/kind/provision"
)

// part is what a lane has of the cluster: workers and a namespace of its own, so that lanes can run side by side. Part 0 is the whole
// cluster, with the default namespace. The control plane, where CoreDNS is, is only in that one.
type part struct {
	number    int
	nodes     []provision.Node
	namespace string
	// agents of the nodes outlive lanes, to check the nodes between them; by place.
	agents map[string]*agent.Conn
	// pristine is the state of the nodes without any workload, by place.
	pristine map[string]fingerprint.Fingerprint
	// taken means that a lane has it; dirty is why no lane can have it any more.
	taken bool
	dirty string
}

// wholeNumber is the number of the whole cluster.
const wholeNumber = 0

func (p *part) whole() bool { return p.number == wholeNumber }

// parts divides the nodes of a cluster: as many parts of this many workers as there are, if they are at least two.
func parts(nodes []provision.Node, each int) (whole *part, all []*part) {
	whole = &part{nodes: nodes, namespace: metav1.NamespaceDefault}
	workers := slices.DeleteFunc(slices.Clone(nodes), func(n provision.Node) bool { return n.Role != "worker" })
	for chunk := range slices.Chunk(workers, max(each, 1)) {
		if len(chunk) < each {
			break
		}
		p := &part{number: len(all) + 1, namespace: fmt.Sprintf("lane-%d", len(all)+1)}
		for i, node := range chunk {
			node.Name = fmt.Sprintf("node-%d", i+1)
			p.nodes = append(p.nodes, node)
		}
		all = append(all, p)
	}
	if len(all) < 2 {
		all = nil
	}
	return whole, all
}

// Lanes is how many lanes a cluster of this machine gets nodes for if nobody says how many. Kubelets and the programs that start pods keep
// a core busy for each: more lanes take longer than they save.
func Lanes() int { return min(runtime.NumCPU(), maxLanes) }

// maxLanes are as many as have nodes if each gets two.
const maxLanes = (provision.MaxNodes - 1) / 2

// Nodes is how many nodes a cluster needs for lanes that run side by side: the workers of each, and the control plane.
func Nodes(lanes, each int) int {
	if lanes < 2 {
		return each
	}
	return min(lanes*each, provision.MaxNodes-1) + 1
}

// node returns the part's node of this name or place.
func (p *part) node(name string) (provision.Node, bool) {
	i := slices.IndexFunc(p.nodes, func(n provision.Node) bool { return n.Name == strings.TrimPrefix(name, "node/") })
	if i < 0 {
		return provision.Node{}, false
	}
	return p.nodes[i], true
}

// on returns the part's node that Kubernetes calls by this name.
func (p *part) on(container string) (provision.Node, bool) {
	i := slices.IndexFunc(p.nodes, func(n provision.Node) bool { return n.Container == container })
	if i < 0 {
		return provision.Node{}, false
	}
	return p.nodes[i], true
}

var (
	// serviceAddress is an address in the range from which scenarios give some to Services.
	serviceAddress = regexp.MustCompile(`\b10\.96\.0\.(\d{1,3})\b`)
	// nodePort is a port in the range from which scenarios give some to Services.
	nodePort = regexp.MustCompile(`\b300(\d\d)\b`)
	// inDefault are names of the default namespace: of its Services in DNS, and its own in selectors.
	inDefault = regexp.MustCompile(`(\w+)\.default\.svc\b|\b(kubernetes\.io/metadata\.name"?:\s*"?)default\b`)
)

// Adapt moves the addresses of Services into a range of the part's own, 10.96.NUMBER.0/24, their node ports into 100 of its own, and names of
// the default namespace into its namespace.
func (p *part) Adapt(text []byte) []byte {
	if p.whole() {
		return text
	}
	text = serviceAddress.ReplaceAllFunc(text, func(found []byte) []byte {
		last := found[bytes.LastIndexByte(found, '.')+1:]
		for _, of := range []string{"0", "1", "10", "255"} { // the network, the API server, CoreDNS
			if string(last) == of {
				return found
			}
		}
		return fmt.Appendf(nil, "10.96.%d.%s", p.number, last)
	})
	text = nodePort.ReplaceAllFunc(text, func(found []byte) []byte { return fmt.Appendf(nil, "3%02d%s", p.number, found[3:]) })
	return inDefault.ReplaceAllFunc(text, func(found []byte) []byte {
		if bytes.HasPrefix(found, []byte("kubernetes.default")) {
			return found // the API server's Service is there
		}
		return bytes.Replace(found, []byte("default"), []byte(p.namespace), 1)
	})
}

// Unique adds the part's number to a name.
func (p *part) Unique(name string) string {
	if p.whole() {
		return name
	}
	return fmt.Sprintf("%s-%d", name, p.number)
}

// local is a namespace as the cluster has it: the default one is the part's.
func (p *part) local(namespace string) string {
	if cmp.Or(namespace, metav1.NamespaceDefault) == metav1.NamespaceDefault {
		return p.namespace
	}
	return namespace
}

// partsValue is the value of kubeobjects.RunLabel of the parts' namespaces.
const partsValue = "parts"

// divide makes the parts and their namespaces, unless CoreDNS is on a worker of a cluster that others made: a fault there would be one for
// all.
func (k *Kind) divide(ctx context.Context) error {
	_, k.parts = parts(k.cluster.Nodes, k.NodesEach)
	pods, err := k.systemPods(ctx)
	if err != nil {
		return err
	}
	for _, pod := range pods {
		for _, p := range k.parts {
			if _, there := p.on(pod.Spec.NodeName); there {
				k.parts = nil
			}
		}
	}
	for _, p := range k.parts {
		space := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: p.namespace, Labels: map[string]string{kubeobjects.RunLabel: partsValue}}}
		_, err := k.cluster.Client.CoreV1().Namespaces().Create(ctx, space, metav1.CreateOptions{FieldManager: kubeobjects.Manager})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	return nil
}

// usable are the parts that lanes can have.
func (k *Kind) usable() []*part {
	if len(k.parts) == 0 {
		return []*part{k.all}
	}
	return k.parts
}

// busy says if any lane lives.
func (k *Kind) busy() bool {
	return slices.ContainsFunc(append(slices.Clone(k.parts), k.all), func(p *part) bool { return p.taken })
}

// take waits until a part is free, and for the whole cluster until all are. It replaces the cluster if it cannot be used any more, when no
// lane lives on it.
func (k *Kind) take(ctx context.Context, whole bool, replace func(context.Context) error) (*part, error) {
	for {
		if err := k.lock.Acquire(ctx, 1); err != nil {
			return nil, context.Cause(ctx)
		}
		p, again := k.free(whole)
		var err error
		if p == nil && !k.busy() {
			if err = replace(ctx); err == nil {
				p, _ = k.free(whole)
			}
		}
		if p != nil {
			p.taken = true
		}
		k.lock.Release(1)
		if p != nil || err != nil {
			return p, err
		}
		select {
		case <-again:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// free returns a part that can be had, or a channel that is closed when that may have changed. It is called with the lock held.
func (k *Kind) free(whole bool) (*part, <-chan struct{}) {
	if k.given == nil {
		k.given = make(chan struct{})
	}
	switch {
	case k.dirty != "" || k.all.taken:
		return nil, k.given
	case whole || len(k.parts) == 0:
		if k.busy() || k.all.dirty != "" || slices.ContainsFunc(k.parts, func(p *part) bool { return p.dirty != "" }) {
			return nil, k.given
		}
		return k.all, nil
	}
	for _, p := range k.parts {
		if !p.taken && p.dirty == "" {
			return p, nil
		}
	}
	return nil, k.given
}

// give gives a part back. It is called with the lock held.
func (k *Kind) give(p *part) {
	p.taken = false
	if k.given != nil {
		close(k.given)
		k.given = nil
	}
}

// gateways are the addresses at which a part's outside host is: one for each part, and for the whole cluster all.
func (k *Kind) gateways(p *part) []int {
	if !p.whole() {
		return []int{p.number}
	}
	numbers := []int{wholeNumber}
	for _, other := range k.parts {
		numbers = append(numbers, other.number)
	}
	return numbers
}

// gateway is an outside host's address on the nodes' network: the last but one, and those before it, which the engine gives out last.
func gateway(network netip.Prefix, number int) netip.Addr {
	bytes := network.Masked().Addr().As4()
	for bit := network.Bits(); bit < 32; bit++ {
		bytes[bit/8] |= 1 << (7 - bit%8)
	}
	address := netip.AddrFrom4(bytes).Prev()
	for range number {
		address = address.Prev()
	}
	return address
}

// outsideMAC is always the same for a gateway: nodes remember it longer than one outside lives.
func outsideMAC(number int) string { return fmt.Sprintf("02:00:5e:00:53:%02x", number+1) }
