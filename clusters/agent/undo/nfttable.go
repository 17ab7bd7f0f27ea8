package undo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/google/nftables"
)

// NftTable deletes an nftables table of relapse's own with all that is in it.
type NftTable struct {
	// Family: ip, ip6, inet, arp, bridge or netdev.
	Family string `json:"family"`
	Name   string `json:"name"`
}

var nftFamilies = map[string]nftables.TableFamily{
	"ip":     nftables.TableFamilyIPv4,
	"ip6":    nftables.TableFamilyIPv6,
	"inet":   nftables.TableFamilyINet,
	"arp":    nftables.TableFamilyARP,
	"bridge": nftables.TableFamilyBridge,
	"netdev": nftables.TableFamilyNetdev,
}

func (t *NftTable) String() string { return fmt.Sprintf("delete table %s %s", t.Family, t.Name) }

func (t *NftTable) check() error {
	if _, ok := nftFamilies[t.Family]; !ok {
		return fmt.Errorf("nft family %q is none of ip, ip6, inet, arp, bridge, netdev", t.Family)
	}
	return CheckPrefix(t.Name)
}

// CheckPrefix keeps what is deleted by its name to what relapse has created.
func CheckPrefix(name string) error {
	if !strings.HasPrefix(name, Prefix) {
		return fmt.Errorf("%q does not start with %q: nothing foreign may be deleted", name, Prefix)
	}
	return nil
}

func (t *NftTable) undo(context.Context) error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	conn.DelTable(&nftables.Table{Family: nftFamilies[t.Family], Name: t.Name})
	if err := conn.Flush(); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("nftables: %w", err)
	}
	return nil
}
