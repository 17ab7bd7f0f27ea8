package features

import (
	"fmt"
	"net"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
)

// addOutputRule makes a table with one rule for packets that leave the namespace, and returns a function that deletes it.
func addOutputRule(name string, rule expr.Any) (remove func() error, err error) {
	conn, err := nftables.New()
	if err != nil {
		return nil, err
	}
	table := conn.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: name})
	chain := conn.AddChain(&nftables.Chain{
		Name: "output", Table: table, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookOutput, Priority: nftables.ChainPriorityFilter,
	})
	conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{rule}})
	if err := conn.Flush(); err != nil {
		return nil, fmt.Errorf("nft rule in table %s: %w", name, err)
	}
	return func() error {
		conn.DelTable(table)
		return conn.Flush()
	}, nil
}

// loopbackUp sets the loopback link up.
func loopbackUp() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(lo)
}

// sendToSelf sends a packet over the loopback. When it returns, the packet has passed the output rules.
func sendToSelf() error {
	if err := loopbackUp(); err != nil {
		return err
	}
	conn, err := net.Dial("udp4", "127.0.0.1:9")
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Write([]byte("relapse"))
	return err
}
