package readers

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// snmp reads the namespace's protocol counters, each named by its group and name as nstat writes them: TcpOutRsts,
// TcpRetransSegs, TcpExtTCPAbortOnData. (nstat itself keeps a history that all namespaces share.)
func snmp(context.Context) (map[string]float64, error) {
	values := map[string]float64{}
	for _, path := range []string{"/proc/net/snmp", "/proc/net/netstat"} {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		if err := parseSNMP(string(text), values); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return values, nil
}

// parseSNMP reads pairs of lines, of which the first names the numbers of the second, both after "Group: ".
func parseSNMP(text string, into map[string]float64) error {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i := 0; i+1 < len(lines); i += 2 {
		names, numbers := strings.Fields(lines[i]), strings.Fields(lines[i+1])
		if len(names) != len(numbers) || names[0] != numbers[0] {
			return fmt.Errorf("line %d does not name the numbers of line %d", i+1, i+2)
		}
		group := strings.TrimSuffix(names[0], ":")
		for k := 1; k < len(names); k++ {
			number, err := strconv.ParseFloat(numbers[k], 64)
			if err != nil {
				return fmt.Errorf("%s%s: %w", group, names[k], err)
			}
			into[group+names[k]] = number
		}
	}
	return nil
}
