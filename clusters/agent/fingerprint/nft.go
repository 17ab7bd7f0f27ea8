package fingerprint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/google/nftables"

	"github.com/relapse-k8s/relapse/clusters/agent/tool"
)

// takeNft reads the nftables ruleset with nft(8), which prints readable text. Without nft(8) it counts tables, chains and rules.
func takeNft(ctx context.Context) (tables map[string]string, by string, err error) {
	nft, err := exec.LookPath("nft")
	if err != nil {
		tables, err = countNft()
		return tables, "netlink (nft is not installed: rules are counted, not read)", err
	}
	text, err := output(ctx, nft, "-s", "list", "ruleset")
	if err != nil {
		return nil, nft, err
	}
	return splitNft(text), nft, nil
}

// output runs a command. Its error contains the command and its output.
func output(ctx context.Context, name string, args ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd := tool.Network(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	// A translated message would be a difference.
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// splitNft cuts the text of a ruleset into its tables. The elements of sets that packets add to or that expire are left out.
func splitNft(text string) map[string]string {
	tables := map[string]string{}
	var name string
	var body []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, "table "):
			name, body = strings.TrimSuffix(strings.TrimPrefix(line, "table "), " {"), []string{}
		case line == "}":
			tables[name] = strings.Join(dropDynamic(body), "\n")
		default:
			body = append(body, line)
		}
	}
	return tables
}

// dropDynamic leaves out the elements of sets and maps with the flag dynamic or timeout.
func dropDynamic(lines []string) []string {
	var kept []string
	dynamic, skipping := false, false
	for _, line := range lines {
		word := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "\t}"):
			dynamic, skipping = false, false
		case strings.HasPrefix(line, "\t\tflags ") && (strings.Contains(word, "dynamic") || strings.Contains(word, "timeout")):
			dynamic = true
		case dynamic && strings.HasPrefix(line, "\t\telements = "):
			skipping = true
		}
		if !skipping {
			kept = append(kept, line)
		}
		if skipping && strings.HasSuffix(word, "}") {
			skipping = false
		}
	}
	return kept
}

// countNft lists tables and chains, and counts rules.
func countNft() (map[string]string, error) {
	conn, err := nftables.New()
	if err != nil {
		return nil, fmt.Errorf("nftables: %w", err)
	}
	tables, err := conn.ListTables()
	if err != nil {
		return nil, fmt.Errorf("list nftables tables: %w", err)
	}
	chains, err := conn.ListChains()
	if err != nil {
		return nil, fmt.Errorf("list nftables chains: %w", err)
	}
	result := map[string]string{}
	for _, t := range tables {
		result[nftName(t)] = ""
	}
	for _, c := range chains {
		rules, err := conn.GetRules(c.Table, c)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list nftables rules of %s %s: %w", nftName(c.Table), c.Name, err)
		}
		line := fmt.Sprintf("chain %s: %d rules", c.Name, len(rules))
		if c.Hooknum != nil && c.Priority != nil {
			line += fmt.Sprintf(", %s hook %d priority %d", c.Type, *c.Hooknum, *c.Priority)
		}
		result[nftName(c.Table)] += line + "\n"
	}
	return result, nil
}

func nftName(t *nftables.Table) string {
	family := map[nftables.TableFamily]string{
		nftables.TableFamilyIPv4: "ip", nftables.TableFamilyIPv6: "ip6", nftables.TableFamilyINet: "inet",
		nftables.TableFamilyARP: "arp", nftables.TableFamilyBridge: "bridge", nftables.TableFamilyNetdev: "netdev",
	}[t.Family]
	return family + " " + t.Name
}
