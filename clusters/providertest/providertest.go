// Package providertest has the contract of clusters.Provider as a table: what every provider must do, whatever its clusters are made of.
package providertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/offers"
)

// Subject is a provider that is tested.
type Subject struct {
	Provider clusters.Provider
	// Nodes and Proxy are what its clusters can have.
	Nodes int
	Proxy string
	// Left, if not nil, lists what a cluster has left where only the provider can look.
	Left func(t *testing.T) []string
}

const (
	client  = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"client"},"spec":{"nodeName":"node-1","containers":[{"name":"main","image":"relapse","args":["pause"]}]}}`
	web     = `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"replicas":2,"selector":{"matchLabels":{"app":"web"}},"template":{"metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"name":"main","image":"relapse","args":["server",":8080"]}]}}}}`
	service = `{"apiVersion":"v1","kind":"Service","metadata":{"name":"web"},"spec":{"selector":{"app":"web"},"ports":[{"port":80,"targetPort":8080}]}}`
	// volume is of a kind that no workload has.
	volume = `{"apiVersion":"v1","kind":"PersistentVolume","metadata":{"name":"volume"},"spec":{}}`
	policy = `{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"contract"},"spec":{"podSelector":{"matchLabels":{"app":"web"}},"policyTypes":["Ingress"],"ingress":[{}]}}`
)

// expectation is one line of the contract. Those that need a cluster get one that was just made.
var expectations = []struct {
	name string
	of   func(t *testing.T, s *subject)
}{
	{"it has a name", func(t *testing.T, s *subject) { NewWithT(t).Expect(s.Provider.Name()).NotTo(BeEmpty()) }},
	{"it offers what is known, and says why not", offersAreKnown},
	{"it says what its clusters run, and how they differ from production", describesItself},
	{"it checks workloads", checksWorkloads},
	{"a workload that is refused leaves nothing", refusesToCreate},
	{"Create ends with ctx at every step and leaves nothing", createIsCancelled},
	{"every place has an agent and can be resolved", placesHaveAgents},
	{"objects are applied, shown and deleted", objectsRoundTrip},
	{"Interrupt ends the agents, and Close what is left", interruptThenClose},
}

// Contract opens the provider and checks everything that it must do.
func Contract(t *testing.T, s Subject) {
	g := NewWithT(t)
	ctx := t.Context()
	g.Expect(s.Provider.Close(ctx)).To(Succeed(), "Close may be called without Open")
	g.Expect(s.Provider.Open(ctx)).To(Succeed())
	for _, e := range expectations {
		t.Run(e.name, func(t *testing.T) {
			run := &subject{Subject: s, run: fmt.Sprintf("contract-%d", os.Getpid())}
			before := run.left(t)
			e.of(t, run)
			NewWithT(t).Expect(run.left(t)).To(Equal(before), "nothing is left")
		})
	}
	for range 2 {
		g.Expect(s.Provider.Close(context.WithoutCancel(ctx))).To(Succeed())
	}
}

// subject is the provider in one test.
type subject struct {
	Subject
	run string
}

// mark is in the environment of every process of a cluster.
const mark = "RELAPSE_PROVIDERTEST"

func (s *subject) spec(t *testing.T, workload ...string) clusters.Spec {
	spec := clusters.Spec{
		Run: s.run, Name: "contract", Nodes: s.Nodes, Proxy: s.Proxy, PodNetwork: "routes", Logs: t.TempDir(), Env: []string{mark + "=" + s.run},
	}
	for _, object := range workload {
		spec.Workload = append(spec.Workload, []byte(object))
	}
	return spec
}

func (s *subject) create(t *testing.T) clusters.Cluster {
	t.Helper()
	c, err := s.Provider.Create(t.Context(), s.spec(t, client, web, service))
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return c
}

// left lists links of this namespace, processes that have the mark, and what the provider itself finds.
func (s *subject) left(t *testing.T) []string {
	t.Helper()
	var all []string
	links, err := netlink.LinkList()
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	for _, link := range links {
		all = append(all, "link "+link.Attrs().Name)
	}
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	for _, file := range files {
		// A process may have ended meanwhile.
		if text, err := os.ReadFile(file); err == nil && bytes.Contains(text, []byte(mark+"="+s.run)) {
			all = append(all, "process "+filepath.Base(filepath.Dir(file)))
		}
	}
	if s.Left != nil {
		all = append(all, s.Left(t)...)
	}
	return all
}

func offersAreKnown(t *testing.T, s *subject) {
	g := NewWithT(t)
	found, err := s.Provider.Offers(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	for name, offer := range found {
		g.Expect(offers.Known).To(HaveKey(name))
		g.Expect(offer.OK || offer.Why != "").To(BeTrue(), "%s is not offered, and the reason is not given", name)
	}
	for name := range offers.Known {
		if _, follows := offers.Proxy("", false)[name]; !follows { // that is up to the cluster's Spec
			g.Expect(found).To(HaveKey(name))
		}
	}
}

func describesItself(t *testing.T, s *subject) {
	g := NewWithT(t)
	g.Expect(s.Provider.Versions(t.Context())).To(And(HaveKey("kube-proxy"), HaveEach(Not(BeEmpty()))))
	g.Expect(s.Provider.Differences()).To(And(Not(BeEmpty()), HaveEach(HaveSuffix("."))))
	g.Expect(s.Provider.AtOnce()).To(BeNumerically(">=", 0))
}

func checksWorkloads(t *testing.T, s *subject) {
	g := NewWithT(t)
	g.Expect(s.Provider.Check([][]byte{[]byte(client), []byte(web), []byte(service)})).To(BeEmpty())
	g.Expect(s.Provider.Check(nil)).To(BeEmpty())
	errs := s.Provider.Check([][]byte{[]byte(volume), []byte(client), []byte(`{"apiVersion":"v1","kind":"PersistentVolume","metadata":{"name":"other"}}`)})
	g.Expect(errors.Join(errs...)).To(MatchError(And(ContainSubstring("PersistentVolume volume"), ContainSubstring("PersistentVolume other"))), "all at once")
}

func refusesToCreate(t *testing.T, s *subject) {
	_, err := s.Provider.Create(t.Context(), s.spec(t, client, volume))
	NewWithT(t).Expect(err).To(MatchError(ContainSubstring("PersistentVolume volume")))
}

func createIsCancelled(t *testing.T, s *subject) {
	before := s.left(t)
	interrupted := errors.New("interrupted by the test")
	for step := 0; ; step++ {
		g := NewWithT(t)
		ctx, cancel := context.WithCancelCause(t.Context())
		spec, steps := s.spec(t, client, web, service), 0
		if step == 0 {
			cancel(interrupted)
		}
		last := ""
		spec.Progress = func(text string) {
			last = text
			if steps++; steps == step {
				cancel(interrupted)
			}
		}
		c, err := s.Provider.Create(ctx, spec)
		ended := ctx.Err() != nil
		cancel(nil)
		if !ended {
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(c.Close(t.Context())).To(Succeed())
			g.Expect(step).To(BeNumerically(">", 1), "Create reports what it does")
			return
		}
		if err == nil { // the last steps may be over before they notice it
			g.Expect(c.Close(t.Context())).To(Succeed())
		}
		g.Expect(s.left(t)).To(Equal(before), "cancelled at step %d, %s: %v", step, last, err)
		if step == 0 {
			g.Expect(err).To(HaveOccurred())
		}
	}
}

func placesHaveAgents(t *testing.T, s *subject) {
	g := NewWithT(t)
	c := s.create(t)
	defer func() { g.Expect(c.Close(context.WithoutCancel(t.Context()))).To(Succeed()) }()
	g.Expect(c.Places()).To(ContainElements("node/node-1", "pod/client", "outside"))
	for _, place := range c.Places() {
		conn := c.Agent(place)
		g.Expect(conn).NotTo(BeNil(), place)
		_, err := agent.Hello.Call(t.Context(), conn, agent.None{}, nil)
		g.Expect(err).NotTo(HaveOccurred(), place)
		g.Expect(c.Enter(place)).NotTo(BeEmpty(), place)
		g.Expect(c.Resolve(place)).To(Equal([]string{place}), "a place is its own name")
	}
	for _, place := range []string{"node/node-1", "pod/client"} {
		address, err := c.Address(place)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(netip.ParseAddr(address)).To(HaveField("Is4()", true), place)
	}
	g.Expect(c.Address("pod/none")).Error().To(HaveOccurred())
	g.Expect(c.Agent("pod/none")).To(BeNil())
	for on, n := range map[string]int{"nodes": s.Nodes, "node-of/client": 1, "pod/client": 1, "pod/web": 2, "outside": 1} {
		g.Expect(c.Resolve(on)).To(And(HaveLen(n), HaveEach(BeElementOf(c.Places()))), on)
	}
	for _, on := range []string{"pod/none", "node-of/none", "node/none", "none", ""} {
		_, err := c.Resolve(on)
		g.Expect(err).To(MatchError(ContainSubstring(on)), "%q is not a place", on)
	}
}

func objectsRoundTrip(t *testing.T, s *subject) {
	g := NewWithT(t)
	ctx := t.Context()
	c := s.create(t)
	defer func() { g.Expect(c.Close(context.WithoutCancel(ctx))).To(Succeed()) }()
	object := func() []byte {
		t.Helper()
		text, err := c.Object(ctx, "NetworkPolicy", "default", "contract")
		g.Expect(err).NotTo(HaveOccurred())
		return text
	}
	g.Expect(object()).To(BeNil())
	g.Expect(c.Delete(ctx, "NetworkPolicy", "default", "contract")).To(Succeed(), "what is not there is deleted already")
	for range 2 {
		g.Expect(c.Apply(ctx, []byte(policy))).To(Succeed())
		g.Expect(string(object())).To(ContainSubstring("podSelector"))
	}
	for range 2 {
		g.Expect(c.Delete(ctx, "NetworkPolicy", "default", "contract")).To(Succeed())
		g.Expect(object()).To(BeNil())
	}
	g.Expect(c.Apply(ctx, []byte(volume))).NotTo(Succeed())
	g.Expect(c.Apply(ctx, []byte("{"))).NotTo(Succeed())
	g.Expect(c.Apply(ctx, []byte(policy))).To(Succeed(), "and Close deletes it")
	g.Expect(c.Settle(ctx)).To(Succeed())
}

func interruptThenClose(t *testing.T, s *subject) {
	g := NewWithT(t)
	c := s.create(t)
	conn := c.Agent("pod/client")
	c.Interrupt()
	select {
	case <-conn.Gone():
	case <-t.Context().Done():
		t.Fatal("the agent did not end")
	}
	_, err := agent.Hello.Call(t.Context(), conn, agent.None{}, nil)
	g.Expect(err).To(MatchError(agent.ErrGone))
	for range 2 {
		g.Expect(c.Close(t.Context())).To(Succeed())
	}
}
