package clusterwide_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/agent/fingerprint"
	"github.com/relapse-k8s/relapse/clusters/agent/probes"
	"github.com/relapse-k8s/relapse/clusters/agent/program"
	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/clusters/clustertest"
	"github.com/relapse-k8s/relapse/faults/clusterwide"
	"github.com/relapse-k8s/relapse/harness/scenario"
	"github.com/relapse-k8s/relapse/harness/site"
)

// contract is what the test needs to know of a change.
type contract struct {
	// settings of the change, as in a scenario.
	settings string
	// wide changes are made on: cluster, all others on: nodes.
	wide bool
	// prepare makes what the change needs at a place.
	prepare func(t *testing.T, p *place)
	// act does, while the change is applied, what it has an effect on.
	act func(t *testing.T, p *place)
	// seen are the least readings that prove the effect at each place, or on the cluster; atMost those that must not be exceeded.
	seen, atMost map[string]float64
}

const echoAddress = "127.0.0.1:7777"

// contracts has a row for every change of the catalogue.
var contracts = map[string]contract{
	"cni-config":        {settings: `{"name": "00-other.conflist", "subnet": "10.199.0.0/24"}`, seen: map[string]float64{"there": 1, "first": 1}},
	"cni-config-away":   {seen: map[string]float64{"away": 1}},
	"cni-config-back":   {prepare: withoutCNI, seen: map[string]float64{"back": 1}},
	"connection-flood":  {settings: `{"to": "` + echoAddress + `", "burst": 5, "rate": 50}`, prepare: startEcho, seen: map[string]float64{"opened": 1}},
	"conntrack-flush":   {settings: `{"protocol": "udp", "port": 8125}`, prepare: withEntry, seen: map[string]float64{"deleted": 1}},
	"conntrack-max":     {settings: `{"value": 1000}`, seen: map[string]float64{"max": 1000}, atMost: map[string]float64{"max": 1000}},
	"conntrack-occupy":  {settings: occupySettings(), seen: map[string]float64{"entries": 100, "filling": 1}},
	"coredns-config":    {wide: true, settings: `{"corefile": ".:53 {\n}\n"}`, seen: map[string]float64{"set": 1, "serving": 2}, atMost: map[string]float64{"failed": 0}},
	"delete-pods":       {wide: true, settings: `{"namespace": "kube-system", "selector": "k8s-app=kube-dns", "again": true}`, seen: map[string]float64{"running": 2}},
	"dns-config":        {settings: `{"options": ["ndots:2"]}`, seen: map[string]float64{"set": 1}},
	"free-leases":       {prepare: withStaleLease, seen: map[string]float64{"free": 5}, atMost: map[string]float64{"stale": 0}},
	"freeze":            {settings: `{"program": "main"}`, prepare: startEcho, seen: map[string]float64{"frozen": 1}},
	"hold-fin":          {settings: `{"port": 8080}`, seen: map[string]float64{"armed": 1}},
	"hold-pairs":        {settings: `{"protocol": "udp", "port": 53, "clash": true}`, seen: map[string]float64{"armed": 1}},
	"install-cni":       {wide: true, prepare: withoutCNI, seen: map[string]float64{"back": 2}, atMost: map[string]float64{"notReady": 0}},
	"kubernetes-object": {wide: true, settings: `{"object": {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}}}`, seen: map[string]float64{"matches": 1}},
	"link":              {settings: `{"state": "down"}`, prepare: withUplink, seen: map[string]float64{"set": 1}},
	"log-drops":         {settings: `{"protocol": "tcp", "port": 80}`, seen: map[string]float64{"rules": 1}},
	"many-services":     {wide: true, settings: `{"count": 20}`, seen: map[string]float64{"services": 20}},
	"proxy-mode":        {wide: true, settings: `{"mode": "iptables"}`, seen: map[string]float64{"mode": 1}},
	"masquerade":        {settings: `{"ports": "kept"}`, seen: map[string]float64{"rules": 1}},
	"mss-clamp":         {settings: `{"mss": 1300}`, prepare: startEcho, act: connectEcho, seen: map[string]float64{"rules": 1, "packets": 1}},
	"no-cni":            {wide: true, seen: map[string]float64{"away": 2, "notReady": 2}},
	"nodelocal-addresses": {
		act: queryCache, seen: map[string]float64{"addresses": 2, "rules": 16, "packets": 1},
	},
	"nodelocal-cache": {
		settings: `{"upstream": "10.96.1.1"}`, prepare: startUpstream, act: queryCache,
		seen: map[string]float64{"caches": 1, "addresses": 2, "rules": 16, "packets": 1},
	},
	"nodelocal-dnscache": {wide: true, prepare: startUpstream, act: queryCache, seen: map[string]float64{"caches": 2, "addresses": 4, "rules": 32, "packets": 2}},
	"neighbour":          {settings: `{"address": "10.9.0.2", "mac": "02:00:00:00:00:99"}`, prepare: withUplink, seen: map[string]float64{"set": 1, "permanent": 1}},
	"nothing":            {},
	"notrack":            {settings: `{"protocol": "tcp", "port": 7777}`, prepare: startEcho, act: connectEcho, seen: map[string]float64{"rules": 4, "packets": 1}},
	"outside-dns":        {settings: `{"names": [{"name": "*.corp.example", "addresses": ["203.0.113.7"]}]}`, prepare: startOutsideDNS, seen: map[string]float64{"running": 1}},
	"packets":            {settings: `{"at": "input", "protocol": "tcp", "port": 7777, "flags": ["syn"], "delay": "1ms"}`, prepare: startEcho, act: connectEcho, seen: map[string]float64{"rules": 1, "matched": 1, "packets": 1}},
	"pod-leases":         {settings: `{"leave": 1}`, seen: map[string]float64{"stale": 4, "free": 1}, atMost: map[string]float64{"free": 1}},
	"reorder":            {settings: `{"port": 8080}`, seen: map[string]float64{"armed": 1}},
	"restart-client": {
		settings: `{"probe": "p"}`, prepare: openProbe, act: sampleProbe, seen: map[string]float64{"port": 1, "former": 1},
	},
	"restart-container": {settings: `{"container": "main", "args": ["` + echoAddress + `", "changed"]}`, prepare: startEcho, seen: map[string]float64{"running": 1}},
	"resume":            {settings: `{"program": "main"}`, prepare: freezeEcho, seen: map[string]float64{"running": 1}},
	"route":             {settings: `{"action": "delete", "to": "10.8.0.0/16"}`, prepare: withUplink, seen: map[string]float64{"set": 1}},
	"slow-nfqueue": {
		settings: `{"at": "input", "protocol": "tcp", "port": 7777, "flags": ["syn"], "length": 1, "rate": 100}`, prepare: startEcho, act: connectEcho,
		seen: map[string]float64{"armed": 1, "matched": 1, "passed": 1, "rate": 100},
	},
	"stray-segment": {settings: `{"port": 8080}`, seen: map[string]float64{"armed": 1}},
	"sysctl":        {settings: `{"key": "net.ipv4.ip_forward", "value": "1"}`, seen: map[string]float64{"set": 1}},
}

func withoutCNI(t *testing.T, p *place) {
	must(t, shell, p.first, "mv "+cniConfig+" "+cniConfig+".relapse-away")
}

func withUplink(t *testing.T, p *place) {
	must(t, shell, p.first, "ip link add eth0 type veth peer name eth1 && ip addr add 10.9.0.1/24 dev eth0 && ip link set eth0 up && ip link set eth1 up && "+
		"ip route add default via 10.9.0.2 && ip route add 10.8.0.0/16 via 10.9.0.3 metric 5 && ip neigh add 10.9.0.2 lladdr 02:00:00:00:00:01 dev eth0")
}

func withStaleLease(t *testing.T, p *place) {
	must(t, shell, p.first, "mkdir -p /run/leases/test && echo gone > /run/leases/test/10.244.1.2")
}

func startEcho(t *testing.T, p *place) { start(t, p, "main", echoAddress) }

func freezeEcho(t *testing.T, p *place) {
	startEcho(t, p)
	NewWithT(t).Expect(program.Remote{Conn: p.conn}.Freeze(t.Context(), "main", true)).To(Succeed())
}

func start(t *testing.T, p *place, name, address string) { startWith(t, p, name, address, nil) }

func startOutsideDNS(t *testing.T, p *place) {
	startWith(t, p, "outside-dns", "127.0.0.1:53", map[string]string{"/run/outside-dns/Corefile": ".:53 {\n    bind 127.0.0.1\n}\n"})
}

func startWith(t *testing.T, p *place, name, address string, files map[string]string) {
	spec := program.Spec{Name: name, Argv: []string{"/proc/self/exe", address}, Command: 1, Env: []string{actAs + "=echo"}, Files: files}
	must(t, program.Start, p.conn, spec)
	must(t, program.Send, p.conn, program.Input{Name: name, Expect: "listens"})
}

func startUpstream(t *testing.T, p *place) {
	must(t, shell, p.first, "ip addr add 10.96.1.1/32 dev lo")
	start(t, p, "upstream", "10.96.1.1:53")
}

func queryCache(t *testing.T, p *place) {
	// Nobody has to answer: it is the packet that counts.
	must(t, shell, p.first, "bash -c 'echo > /dev/udp/169.254.20.10/53'")
}

func connectEcho(t *testing.T, p *place) {
	must(t, shell, p.first, "bash -c '> /dev/tcp/127.0.0.1/7777'")
}

func withEntry(t *testing.T, p *place) { must(t, addEntry, p.conn, uint16(8125)) }

func openProbe(t *testing.T, p *place) {
	startEcho(t, p)
	config := asJSON(t, &probes.Datagram{To: echoAddress, Socket: "kept"})
	must(t, probes.OpenProbe, p.conn, probes.Opening{ID: "p", Name: "datagram", Config: config})
	sampleProbe(t, p)
}

func sampleProbe(t *testing.T, p *place) {
	must(t, probes.SampleProbe, p.conn, probes.Sampling{ID: "p", Attempts: 1, Every: time.Millisecond, Timeout: 10 * time.Second})
}

// occupySettings leave all of the machine's table free but 200 entries.
func occupySettings() string {
	text, err := os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_max")
	limit, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		limit = 1000 // the test is skipped where nothing is tracked
	}
	return fmt.Sprintf(`{"leave": %d, "refill": 1000}`, limit-200)
}

// bench is a cluster of two nodes with the change to be tested.
type bench struct {
	*clustertest.Orchestrated
	contract
	name   string
	places []*place
	site   *site.Site
	before []look
	// calls are those that were made of the cluster.
	mu    sync.Mutex
	calls []string
	fail  int
}

type look struct {
	fingerprint.Fingerprint
	state
}

func newBench(t *testing.T, bin, name string) *bench {
	b := &bench{contract: contracts[name], name: name, Orchestrated: &clustertest.Orchestrated{Cluster: &clustertest.Cluster{}}}
	for _, node := range []string{"node/node-1", "node/node-2"} {
		p := newPlace(t, bin, node)
		b.places = append(b.places, p)
		b.Add(p.conn)
		if b.prepare != nil {
			b.prepare(t, p)
		}
		f, s := p.look(t)
		b.before = append(b.before, look{f, s})
	}
	b.Ready = func(ctx context.Context, node string) (bool, error) {
		i := slices.IndexFunc(b.places, func(p *place) bool { return p.conn.Name() == node })
		found, err := shell.Call(ctx, b.places[i].first, "ls "+filepath.Dir(cniConfig), nil)
		return slices.Contains(strings.Fields(found), filepath.Base(cniConfig)), err
	}
	b.Fail = func(call string) error {
		b.mu.Lock()
		defer b.mu.Unlock()
		if call == "not-ready" {
			return nil // a wait makes it any number of times
		}
		b.calls = append(b.calls, call)
		if len(b.calls) == b.fail {
			return fmt.Errorf("refused to %s", call)
		}
		return nil
	}
	b.site = site.New(b.Orchestrated, nil, "r1")
	return b
}

func (b *bench) failCall(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls, b.fail = nil, n
}

// step is the change under test.
func (b *bench) step(t *testing.T) scenario.Step {
	t.Helper()
	config := clusterwide.Catalogue[b.name].New()
	if b.settings != "" {
		NewWithT(t).Expect(json.Unmarshal([]byte(b.settings), config)).To(Succeed())
	}
	step := scenario.Step{ID: "change", On: "nodes", Use: scenario.Use{Name: b.name, Config: config}}
	if b.wide {
		step.On = "cluster"
	}
	return step
}

// keys are the numbers that the change says it has. A change without any has no readings.
func (b *bench) keys() units.Keys {
	if reporter, ok := clusterwide.Catalogue[b.name].New().(scenario.Reporter); ok {
		return reporter.Keys()
	}
	return nil
}

// same sees to it that a place is as it was. Of one whose agent was killed all programs have ended.
func (b *bench) same(t *testing.T, when string, killed bool, places ...int) {
	t.Helper()
	g := NewWithT(t)
	for _, i := range places {
		f, s := b.places[i].look(t)
		before := b.before[i]
		g.Expect(fingerprint.Diff(before.Fingerprint, f)).To(BeEmpty(), when)
		g.Expect(s.Files).To(Equal(before.Files), when)
		g.Expect(s.Occupied).To(Equal(before.Occupied), when)
		if !killed {
			g.Expect(s.Processes).To(Equal(before.Processes), when)
		}
	}
	g.Expect(b.Objects()).To(BeEmpty(), when)
	g.Expect(b.Crowd()).To(BeZero(), when)
	g.Expect(b.ProxyMode()).To(Equal("nftables"), when)
}

// TestContract makes every change of the catalogue on nodes of its own, and sees to it that each is proved by its readings, and undone
// whatever happens meanwhile.
func TestContract(t *testing.T) {
	NewWithT(t).Expect(slices.Sorted(maps.Keys(contracts))).To(Equal(slices.Sorted(maps.Keys(clusterwide.Catalogue))), "a row for every change")
	bin := programs(t)
	for name := range contracts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, bin, name)
			b.applied(t)
			b.cancelled(t)
			b.refused(t)
			b.callsFail(t)
			b.killed(t)
		})
	}
}

// applied: it is seen by its readings, cannot be made twice, and can be undone twice.
func (b *bench) applied(t *testing.T) {
	g := NewWithT(t)
	g.Expect(b.site.Apply(t.Context(), b.step(t))).To(Succeed())
	for _, p := range b.places {
		if b.act != nil {
			b.act(t, p)
		}
	}
	g.Eventually(func(g Gomega) {
		byPlace, err := b.site.ChangeReadings(t.Context(), "change")
		g.Expect(err).NotTo(HaveOccurred())
		for place, readings := range byPlace {
			for key, least := range b.seen {
				g.Expect(readings).To(HaveKeyWithValue(key, BeNumerically(">=", least)), place)
			}
			for key, most := range b.atMost {
				g.Expect(readings).To(HaveKeyWithValue(key, BeNumerically("<=", most)), place)
			}
			applied := 1.0
			if len(b.seen) == 0 { // it changes nothing
				applied = 0
				g.Expect(readings).To(HaveLen(1), place)
			}
			g.Expect(readings).To(HaveKeyWithValue(units.Applied, applied), place)
			if _, own := b.keys()[units.Applied]; !own {
				delete(readings, units.Applied)
			}
			g.Expect(slices.Sorted(maps.Keys(readings))).To(Equal(slices.Sorted(maps.Keys(b.keys()))), "what Keys says of %s", place)
		}
	}).WithTimeout(time.Minute).Should(Succeed())
	g.Expect(b.site.Apply(t.Context(), b.step(t))).To(MatchError("change change: already applied"))
	for range 2 {
		g.Expect(b.site.Undo(t.Context(), "change")).To(Succeed())
		b.same(t, "undone", false, 0, 1)
	}
	g.Expect(b.site.ChangeReadings(t.Context(), "change")).To(BeEmpty())
	if b.name == "delete-pods" {
		g.Expect(b.Deleted("kube-system", "k8s-app=kube-dns")).To(Equal(2), "again: true")
	}
}

// cancelled: it may have been made or not.
func (b *bench) cancelled(t *testing.T) {
	g := NewWithT(t)
	for _, after := range []time.Duration{0, time.Millisecond, 10 * time.Millisecond} {
		ctx, cancel := context.WithTimeoutCause(t.Context(), after, errors.New("interrupted"))
		err := b.site.Apply(ctx, b.step(t))
		cancel()
		if err != nil {
			g.Expect(err).To(MatchError(Or(ContainSubstring("interrupted"), ContainSubstring("context"), ContainSubstring("i/o timeout"))), "after %s", after)
		}
		g.Expect(b.site.Undo(ctx, "change")).To(Succeed(), "after %s", after)
	}
	b.same(t, "cancelled", false, 0, 1)
}

// refused: one of its places cannot write down how to undo a thing, each in turn, and so must not do it.
func (b *bench) refused(t *testing.T) {
	g := NewWithT(t)
	for n := int64(1); ; n++ {
		must(t, refuseRecord, b.places[1].conn, n)
		err := b.site.Apply(t.Context(), b.step(t))
		must(t, refuseRecord, b.places[1].conn, 0)
		if err != nil {
			g.Expect(err).To(MatchError(And(ContainSubstring("node/node-2"), ContainSubstring("refused to"))))
			f, _ := b.places[1].look(t)
			g.Expect(fingerprint.Diff(b.before[1].Fingerprint, f)).To(BeEmpty(), "the agent has undone what it could not finish")
		}
		g.Expect(b.site.Undo(t.Context(), "change")).To(Succeed())
		if err == nil {
			break
		}
	}
	b.same(t, "refused", false, 0, 1)
}

// callsFail: of the calls that it makes of the cluster, each fails in turn.
func (b *bench) callsFail(t *testing.T) {
	g := NewWithT(t)
	for n := 1; b.wide; n++ {
		b.failCall(n)
		err := b.site.Apply(t.Context(), b.step(t))
		b.failCall(0)
		if err != nil {
			g.Expect(err).To(MatchError(ContainSubstring("refused to")))
		}
		g.Expect(b.site.Undo(t.Context(), "change")).To(Succeed())
		if err == nil {
			break
		}
	}
	b.same(t, "a call failed", false, 0, 1)
}

// withoutAgents are the changes that need no agent of a place.
var withoutAgents = []string{"coredns-config", "delete-pods", "kubernetes-object", "many-services", "nothing", "proxy-mode"}

// killed: the agent of a place is killed, while the change is applied and before it is.
func (b *bench) killed(t *testing.T) {
	g := NewWithT(t)
	g.Expect(b.site.Apply(t.Context(), b.step(t))).To(Succeed())
	must(t, killAgent, b.places[0].first, agent.None{})
	<-b.places[0].conn.Gone()
	must(t, recoverPlace, b.places[0].first, agent.None{})
	g.Expect(b.site.UndoAll(t.Context())).To(Succeed())
	b.same(t, "killed", true, 0)
	b.same(t, "killed", false, 1)
	if err := b.site.Apply(t.Context(), b.step(t)); !slices.Contains(withoutAgents, b.name) {
		g.Expect(err).To(MatchError(ContainSubstring("the agent is gone")))
	}
	g.Expect(b.site.UndoAll(t.Context())).To(Succeed())
	b.same(t, "gone", true, 0)
	b.same(t, "gone", false, 1)
}
