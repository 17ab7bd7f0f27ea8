package fingerprint

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
)

// takeLegacy reads the tables of iptables-legacy, if any: the kernel lists the tables that have been used. The program is run only for
// those, because running it creates the table.
func takeLegacy(ctx context.Context) (map[string]string, error) {
	tables := map[string]string{}
	for _, family := range []struct{ name, list, tool string }{
		{"ip", "/proc/thread-self/net/ip_tables_names", "iptables-legacy-save"},
		{"ip6", "/proc/thread-self/net/ip6_tables_names", "ip6tables-legacy-save"},
	} {
		// A kernel without these tables has no such file, and ordinary users may not read it.
		names, _ := os.ReadFile(family.list)
		if len(names) == 0 {
			continue
		}
		tool, err := exec.LookPath(family.tool)
		if err != nil {
			for _, name := range strings.Fields(string(names)) {
				tables[family.name+" "+name] = fmt.Sprintf("(%s is not installed)", family.tool)
			}
			continue
		}
		for _, name := range strings.Fields(string(names)) {
			text, err := output(ctx, tool, "-t", name)
			if err != nil {
				return nil, err
			}
			tables[family.name+" "+name] = cleanSave(text)
		}
	}
	return tables, nil
}

var chainCounters = regexp.MustCompile(` \[\d+:\d+\]$`)

// cleanSave removes the date and the counters from the output of iptables-save.
func cleanSave(text string) string {
	var kept []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "#") || line == "COMMIT" || strings.HasPrefix(line, "*") {
			continue
		}
		kept = append(kept, chainCounters.ReplaceAllString(line, ""))
	}
	return strings.Join(kept, "\n")
}
