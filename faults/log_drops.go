package faults

import (
	"context"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/harness/readers"
	"github.com/relapse-k8s/relapse/harness/undo"
)

// LogDrops logs new connections to a port to the kernel log, where a node forwards them and before network policies decide on
// them, as the LOG rules do that log tailers read.
type LogDrops struct {
	// Protocol of the connections.
	Protocol string `json:"protocol" jsonschema:"enum=udp,enum=tcp"`
	// Port is the one at the pod, behind the Service.
	Port int `json:"port" jsonschema:"minimum=1,maximum=65535"`

	table string
}

// Apply installs the rule.
func (c *LogDrops) Apply(_ context.Context, ns *Namespace) error {
	c.table = ns.Name
	if err := ns.Scope.Push(undo.Record{NftTable: &undo.NftTable{Family: "ip", Name: c.table}}); err != nil {
		return err
	}
	conn, err := nftables.New()
	if err != nil {
		return err
	}
	table := conn.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: c.table})
	chain := conn.AddChain(&nftables.Chain{
		Name: "forward", Table: table, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookForward,
		Priority: nftables.ChainPriorityRef(*nftables.ChainPriorityFilter - 1),
	})
	conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: 1},
		&expr.Bitwise{
			SourceRegister: 1, DestRegister: 1, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(expr.CtStateBitNEW), Xor: make([]byte, 4),
		},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{protocolNumber(c.Protocol)}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(uint16(c.Port))},
		&expr.Counter{},
		&expr.Log{Key: 1 << unix.NFTA_LOG_PREFIX, Data: []byte(readers.DropPrefix)},
	}})
	return conn.Flush()
}

// Readings: packets is how many packets the rule has logged, or tried to.
func (c *LogDrops) Readings(context.Context) (map[string]float64, error) {
	packets, err := countPackets(c.table)
	return map[string]float64{"packets": float64(packets)}, err
}
