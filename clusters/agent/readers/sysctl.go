package readers

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/relapse-k8s/relapse/clusters/agent/undo"
	"github.com/relapse-k8s/relapse/clusters/agent/units"
)

// sysctlKeys are the numbers of a setting.
var sysctlKeys = units.Keys{"value": {Means: "its number; the first if it has several", Kind: units.Signed}}

// sysctlArgument allows what sysctl may print as evidence.
func sysctlArgument(text string) error {
	if !key.MatchString(text) {
		return fmt.Errorf("sysctl/%s: the key must be one under net, as in sysctl/net.ipv4.ip_forward", text)
	}
	return nil
}

// sysctl reads a setting. Where the kernel does not have it, there are no numbers.
func sysctl(_ context.Context, name string, _ []string) (map[string]float64, error) {
	if err := sysctlArgument(name); err != nil {
		return nil, err
	}
	text, err := undo.ReadSysctl(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	first, _, _ := strings.Cut(text, " ")
	value, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return nil, fmt.Errorf("sysctl %s is not a number", name)
	}
	return map[string]float64{"value": value}, nil
}
