package faults

import (
	"context"
	"errors"
	"strings"

	"github.com/relapse-k8s/relapse/harness/undo"
)

// Sysctl sets a kernel setting of the namespace.
type Sysctl struct {
	// Key as sysctl writes it, such as net.ipv4.ip_forward.
	Key string `json:"key"`
	// Value to set.
	Value string `json:"value"`
}

// Validate allows only settings of the network.
func (c *Sysctl) Validate() error {
	if !strings.HasPrefix(c.Key, "net.") {
		return errors.New("only settings under net. can be changed")
	}
	return nil
}

// Apply sets it.
func (c *Sysctl) Apply(_ context.Context, ns *Namespace) error {
	if err := ns.Scope.SetSysctl(c.Key, c.Value); err != nil {
		return err
	}
	return nil
}

// Readings says whether the setting has the value now: set is 1 or 0.
func (c *Sysctl) Readings(context.Context) (map[string]float64, error) {
	now, err := undo.ReadSysctl(c.Key)
	if err != nil {
		return nil, err
	}
	if now == c.Value {
		return map[string]float64{"set": 1}, nil
	}
	return map[string]float64{"set": 0}, nil
}
