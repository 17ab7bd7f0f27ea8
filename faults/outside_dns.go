package faults

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/relapse-k8s/relapse/clusters/agent/program"
	"github.com/relapse-k8s/relapse/clusters/agent/units"
)

// OutsideDNS gives names to the DNS server outside of the cluster, which CoreDNS asks for all that is not in the cluster. Use it for names
// that have other records, that fail, or that are answered late. Without it the server knows example.com and all names below it.
type OutsideDNS struct {
	// Names that the server answers for. Below a name that is given here no other exists.
	Names []OutsideName `json:"names" jsonschema:"minItems=1"`

	programs program.Keeper
	changed  program.Spec
}

// OutsideName is a name and its answer.
type OutsideName struct {
	// Name is a name such as api.example.com, or *.corp.example for all names below corp.example.
	Name string `json:"name"`
	// Addresses are its A records.
	Addresses []string `json:"addresses,omitempty"`
	// TTL of the records. Default: 60s.
	TTL units.Duration `json:"ttl,omitempty"`
	// Rcode is the response code, without records. Default: NOERROR.
	Rcode string `json:"rcode,omitempty" jsonschema:"enum=NXDOMAIN,enum=SERVFAIL,enum=REFUSED"`
	// Delay is how much later each answer comes.
	Delay units.Duration `json:"delay,omitempty"`
	// Silent is true if no question is answered.
	Silent bool `json:"silent,omitempty"`
	// Appears is how long after it was first asked for a name begins to exist, as one that somebody creates a moment later. Caches may keep
	// for an hour that it did not.
	Appears units.Duration `json:"appears,omitempty"`
}

// outsideDNSName is the program; outsideDNSPort is where it listens.
const (
	outsideDNSName = "outside-dns"
	outsideDNSPort = 53
)

// zone is the part of a name that the server has a zone for.
func (n OutsideName) zone() string {
	return strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(n.Name, "*."), "."))
}

// Validate refuses names that the server cannot have.
func (c *OutsideDNS) Validate() error {
	zones := map[string]bool{}
	for i, n := range c.Names {
		field := func(name string) string { return fmt.Sprintf("names[%d].%s", i, name) }
		zone := n.zone()
		switch {
		case zone == "" || len(zone) > 253 || strings.ContainsFunc(zone, notInNames) || slices.Contains(strings.Split(zone, "."), ""):
			return fmt.Errorf("%s: %q is not a name, such as api.example.com or *.corp.example", field("name"), n.Name)
		case zones[zone]:
			return fmt.Errorf("%s: %s is given twice", field("name"), zone)
		case n.Rcode != "" && len(n.Addresses) > 0:
			return errors.New(field("rcode") + ": a name with addresses has none")
		case n.Silent && (n.Rcode != "" || len(n.Addresses) > 0 || n.Delay > 0 || n.Appears > 0):
			return errors.New(field("silent") + ": nothing else is to be said of a question that is not answered")
		}
		zones[zone] = true
		if err := errors.Join(atMost(field("delay"), n.Delay, longestHold), atMost(field("appears"), n.Appears, longestHold)); err != nil {
			return err
		}
		for _, address := range n.Addresses {
			if err := ipv4(field("addresses"), address); err != nil {
				return err
			}
		}
	}
	return nil
}

// WholeCluster is true: all lanes ask the same CoreDNS, and it asks this server.
func (OutsideDNS) WholeCluster() bool { return true }

var bindLine = regexp.MustCompile(`(?m)^\s*bind .*$`)

// Apply starts the server anew with the names.
func (c *OutsideDNS) Apply(ctx context.Context, ns *Namespace) error {
	before, err := ns.Programs.Spec(ctx, outsideDNSName)
	if err != nil {
		return err
	}
	c.programs, c.changed = ns.Programs, before
	c.changed.Files = maps.Clone(before.Files)
	ports := []uint16{outsideDNSPort}
	if err := ns.Scope.PushFunc("start "+outsideDNSName+" as it was", func(ctx context.Context) error {
		return ns.Programs.Restart(ctx, before, ports)
	}); err != nil {
		return err
	}
	for file, corefile := range before.Files {
		if path.Base(file) != "Corefile" {
			continue
		}
		c.changed.Files[file] = c.zones(bindLine.FindString(corefile)) + corefile
		if err := ns.Scope.SetFile(file, []byte(c.changed.Files[file]), 0o644); err != nil {
			return err
		}
	}
	return ns.Programs.Restart(ctx, c.changed, ports)
}

// zones are the servers of a Corefile, one for each name. Lag is a plugin of relapse-coredns.
func (c *OutsideDNS) zones(bind string) string {
	var text strings.Builder
	for _, n := range c.Names {
		fmt.Fprintf(&text, "%s:%d {\n    errors\n%s\n    lag {\n", n.zone(), outsideDNSPort, bind)
		if n.Silent {
			fmt.Fprintln(&text, "        silent")
		}
		fmt.Fprintf(&text, "        delay %s\n        appears %s\n    }\n", n.Delay.Std(), n.Appears.Std())
		match := "^" + regexp.QuoteMeta(n.zone()) + `\.$`
		if strings.HasPrefix(n.Name, "*.") {
			match = `\.` + regexp.QuoteMeta(n.zone()) + `\.$`
		}
		fmt.Fprintf(&text, "    template IN A {\n        match \"%s\"\n        fallthrough\n", match)
		ttl := n.TTL.Std().Seconds()
		if ttl == 0 {
			ttl = 60
		}
		for _, address := range n.Addresses {
			fmt.Fprintf(&text, "        answer \"{{ .Name }} %.0f IN A %s\"\n", ttl, address)
		}
		rcode := n.Rcode
		if rcode == "" {
			rcode = "NOERROR"
		}
		fmt.Fprintf(&text, "        rcode %[2]s\n    }\n    template ANY ANY {\n        match \"%[1]s\"\n        fallthrough\n        rcode %[2]s\n    }\n", match, rcode)
		fmt.Fprintln(&text, "    template ANY ANY {\n        rcode NXDOMAIN\n    }\n}")
	}
	return text.String()
}

// Keys are its numbers.
func (*OutsideDNS) Keys() units.Keys {
	return units.Keys{"running": {Means: "1 while the server runs with these names", Kind: units.Share}}
}

// Readings looks at the server.
func (c *OutsideDNS) Readings(ctx context.Context) (map[string]float64, error) {
	return running(ctx, c.programs, c.changed)
}
