package faults

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/relapse-k8s/relapse/clusters/agent/undo"
	"github.com/relapse-k8s/relapse/clusters/agent/units"
)

// Sysctl sets a kernel setting of the namespace.
type Sysctl struct {
	// Key as sysctl writes it, such as net.ipv4.ip_forward.
	Key string `json:"key"`
	// Value to set.
	Value string `json:"value"`
}

// wholeMachine can be written in any network namespace, and switches something on for all of them. Other keys of the machine cannot be
// written in a namespace. Source: linux net/netfilter/nf_hooks_lwtunnel.c (nf_hooks_lwtunnel_set).
const wholeMachine = "net.netfilter.nf_hooks_lwtunnel"

// Validate allows only settings of the network.
func (c *Sysctl) Validate() error {
	if !strings.HasPrefix(c.Key, "net.") {
		return errors.New("only settings under net. can be changed")
	}
	if undo.SysctlPath(c.Key) == undo.SysctlPath(wholeMachine) {
		return fmt.Errorf("%s cannot be changed: it applies to the whole machine, and cannot be switched off again", c.Key)
	}
	return errors.Join(sysctlKey(c.Key), oneLine("value", c.Value))
}

// Apply sets it. A value that is set already is an error: the change would change nothing.
func (c *Sysctl) Apply(_ context.Context, ns *Namespace) error {
	return setSysctl(ns, c.Key, c.Value)
}

func setSysctl(ns *Namespace, key, value string) error {
	before, err := undo.ReadSysctl(key)
	if err != nil {
		return err
	}
	if before == value {
		return fmt.Errorf("%s is %s already, so setting it would change nothing", key, value)
	}
	return ns.Scope.SetSysctl(key, value)
}

// Keys are its numbers.
func (*Sysctl) Keys() units.Keys {
	return units.Keys{"set": {Means: "1 while the setting has the value, otherwise 0", Kind: units.Share}}
}

// Readings reads the setting.
func (c *Sysctl) Readings(context.Context) (map[string]float64, error) {
	now, err := undo.ReadSysctl(c.Key)
	if err != nil {
		return nil, err
	}
	return map[string]float64{"set": share(now == c.Value)}, nil
}
