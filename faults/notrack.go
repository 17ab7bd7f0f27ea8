package faults

import (
	"context"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"

	"github.com/relapse-k8s/relapse/harness/undo"
)

// NoTrack keeps a class of flows out of conntrack, in both directions, like the iptables target NOTRACK in the table raw. Flows
// that need NAT, such as those to a ClusterIP, cannot do without conntrack.
type NoTrack struct {
	// Protocol of the flows.
	Protocol string `json:"protocol" jsonschema:"enum=udp,enum=tcp"`
	// Port is the server's port.
	Port int `json:"port" jsonschema:"minimum=1,maximum=65535"`
	// Addresses limits the class to these IPv4 addresses of servers. Default: any.
	Addresses []string `json:"addresses,omitempty"`

	table string
}

// Apply installs the rules.
func (c *NoTrack) Apply(_ context.Context, ns *Namespace) error {
	c.table = ns.Name
	if err := ns.Scope.Push(undo.Record{NftTable: &undo.NftTable{Family: "ip", Name: c.table}}); err != nil {
		return err
	}
	return noTrack(c.table, []NoTrack{*c})
}

// noTrack makes a table with rules for several classes, in front of conntrack for forwarded and for local packets.
func noTrack(name string, classes []NoTrack) error {
	conn, err := nftables.New()
	if err != nil {
		return err
	}
	table := conn.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: name})
	for hookName, hook := range map[string]*nftables.ChainHook{"prerouting": nftables.ChainHookPrerouting, "output": nftables.ChainHookOutput} {
		chain := conn.AddChain(&nftables.Chain{
			Name: hookName, Table: table, Type: nftables.ChainTypeFilter, Hooknum: hook, Priority: nftables.ChainPriorityRaw,
		})
		for _, class := range classes {
			addresses := class.Addresses
			if len(addresses) == 0 {
				addresses = []string{""}
			}
			for _, address := range addresses {
				for _, toServer := range []bool{true, false} {
					match, err := class.match(address, toServer)
					if err != nil {
						return err
					}
					conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: append(match, &expr.Counter{}, &expr.Notrack{})})
				}
			}
		}
	}
	return conn.Flush()
}

// match is the class's packets of one direction.
func (c *NoTrack) match(address string, toServer bool) ([]expr.Any, error) {
	portOffset, addressOffset := uint32(0), uint32(12) // source port, source address
	if toServer {
		portOffset, addressOffset = 2, 16
	}
	exprs := []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{protocolNumber(c.Protocol)}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: portOffset, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(uint16(c.Port))},
	}
	if address == "" {
		return exprs, nil
	}
	parsed, err := netip.ParseAddr(address)
	if err != nil {
		return nil, err
	}
	return append(exprs,
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: addressOffset, Len: 4},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: parsed.AsSlice()},
	), nil
}

// Readings: packets is how many packets passed untracked.
func (c *NoTrack) Readings(context.Context) (map[string]float64, error) {
	packets, err := countPackets(c.table)
	return map[string]float64{"packets": float64(packets)}, err
}

// countPackets adds up the counters of a table's rules.
func countPackets(name string) (uint64, error) {
	conn, err := nftables.New()
	if err != nil {
		return 0, err
	}
	chains, err := conn.ListChainsOfTableFamily(nftables.TableFamilyIPv4)
	if err != nil {
		return 0, err
	}
	var packets uint64
	for _, chain := range chains {
		if chain.Table.Name != name {
			continue
		}
		rules, err := conn.GetRules(chain.Table, chain)
		if err != nil {
			return 0, err
		}
		for _, rule := range rules {
			for _, e := range rule.Exprs {
				if counter, ok := e.(*expr.Counter); ok {
					packets += counter.Packets
				}
			}
		}
	}
	return packets, nil
}
