package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/relapse-k8s/relapse/clusters/agent/undo"
	"github.com/relapse-k8s/relapse/clusters/agent/units"
)

// CNIConfig writes one more CNI configuration on a node. The container runtime uses the first one by name, for pods that start from then
// on.
type CNIConfig struct {
	// Name of the file in /etc/cni/net.d, such as 00-other.conflist.
	Name string `json:"name"`
	// Subnet makes it another network: a veth pair for each pod, and addresses from this IPv4 range, to which nobody has a route. Default: a
	// copy of the node's own configuration.
	Subnet string `json:"subnet,omitempty"`
}

// The folder of configurations, as a node's agent sees it, and the names that may be added.
const cniFolder = nodeRoot + "/etc/cni/net.d"

var cniName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,60}\.conflist$`)

// otherLeases is where host-local keeps the leases of other networks, beside those of the project's own.
const otherLeases = "/run/cni-ipam-state"

// Validate checks the name and the range.
func (c *CNIConfig) Validate() error {
	var errs []error
	if !cniName.MatchString(c.Name) {
		errs = append(errs, fmt.Errorf("name: %q must be lower case letters, digits and dashes, with .conflist at the end", c.Name))
	}
	if c.Subnet != "" {
		subnet, err := netip.ParsePrefix(c.Subnet)
		if err != nil || !subnet.Addr().Is4() || !subnet.Addr().IsPrivate() || subnet.Bits() > 28 || subnet != subnet.Masked() {
			errs = append(errs, fmt.Errorf("subnet: %q must be a private IPv4 range of 16 addresses or more, such as 10.199.0.0/24", c.Subnet))
		}
	}
	return errors.Join(errs...)
}

// network is the name of the network in the configuration.
func (c *CNIConfig) network() string { return "relapse-" + c.Name[:len(c.Name)-len(".conflist")] }

// Apply writes the file, and before that writes down what the plugin will leave behind.
func (c *CNIConfig) Apply(_ context.Context, ns *Namespace) error {
	files, err := cniConfigs("")
	if err != nil {
		return err
	}
	path := filepath.Join(cniFolder, c.Name)
	if slices.Contains(files, path) {
		return fmt.Errorf("the node has a CNI configuration %s already", c.Name)
	}
	text := c.config()
	if c.Subnet == "" {
		if text, err = ownConfig(files); err != nil {
			return err
		}
	}
	if err := ns.Scope.Push(undo.Record{Step: &leasesFolder{Network: c.network()}}); err != nil {
		return err
	}
	return ns.Scope.SetFile(path, text, 0o600)
}

// leasesFolder deletes what host-local has kept for a network that is no longer configured.
type leasesFolder struct{ Network string }

var ownNetwork = regexp.MustCompile(`^relapse-[a-z0-9-]+$`)

func init() { undo.Register(func() undo.Step { return &leasesFolder{} }) }

// Kind is its name in a journal.
func (*leasesFolder) Kind() string { return "cni-leases" }

// Check refuses folders of other networks.
func (l *leasesFolder) Check() error {
	if !ownNetwork.MatchString(l.Network) {
		return fmt.Errorf("network %q is not one of relapse", l.Network)
	}
	return nil
}

// Undo deletes the folder.
func (l *leasesFolder) Undo(context.Context) error {
	return errors.Join(l.Check(), os.RemoveAll(filepath.Join(nodeRoot, otherLeases, l.Network)))
}

// Limit is the default one.
func (*leasesFolder) Limit() time.Duration { return 0 }

func (l *leasesFolder) String() string { return "delete the leases of the network " + l.Network }

// ownConfig is the first configuration that no such change has written.
func ownConfig(files []string) ([]byte, error) {
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var config struct{ Name string }
		if err := json.Unmarshal(text, &config); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if !ownNetwork.MatchString(config.Name) {
			return text, nil
		}
	}
	return nil, errors.New("the node has no CNI configuration of its own")
}

func (c *CNIConfig) config() []byte {
	type object = map[string]any
	text, _ := json.MarshalIndent(object{ // strings and maps can always be encoded
		"cniVersion": "1.0.0", "name": c.network(),
		"plugins": []object{{"type": "ptp", "ipam": object{
			"type": "host-local", "dataDir": otherLeases, "ranges": [][]object{{{"subnet": c.Subnet}}}, "routes": []object{{"dst": "0.0.0.0/0"}},
		}}},
	}, "", "  ")
	return append(text, '\n')
}

// Keys are its numbers.
func (*CNIConfig) Keys() units.Keys {
	return units.Keys{
		"there":  {Means: "1 while the node has the file", Kind: units.Share},
		"first":  {Means: "1 while it is the first configuration by name, which the container runtime uses", Kind: units.Share},
		"leases": {Means: "addresses that pods have from it, if it is another network", Kind: units.Gauge},
	}
}

// Readings looks at the files.
func (c *CNIConfig) Readings(context.Context) (map[string]float64, error) {
	files, err := cniConfigs("")
	if err != nil {
		return nil, err
	}
	path := filepath.Join(cniFolder, c.Name)
	_, used, err := hostLocal{folder: filepath.Join(nodeRoot, otherLeases, c.network())}.leases()
	return map[string]float64{"there": share(slices.Contains(files, path)), "first": share(files[0] == path), "leases": float64(len(used))}, err
}
