package readers

import (
	"context"
	"fmt"
	"os/exec"
	"strings"

	"github.com/relapse-k8s/relapse/harness/agent"
)

// documented lists the read-only commands that documents recommend, and that scenarios may keep the output of. One that ends in a
// space may be followed by one more word.
var documented = []string{
	"conntrack -S", "conntrack -C", "conntrack -L -p udp", "nft list ruleset", "iptables-save -c", "ip route", "ip -s link", "ss -s",
	"cat /etc/resolv.conf", "sysctl ",
}

// CheckCommand says whether a command is one of those.
func CheckCommand(argv []string) error {
	command := strings.Join(argv, " ")
	for _, known := range documented {
		prefix, open := strings.CutSuffix(known, " ")
		if command == known || open && len(argv) == 2 && argv[0] == prefix && !strings.HasPrefix(argv[1], "-") && !strings.Contains(argv[1], "=") {
			return nil
		}
	}
	return fmt.Errorf("%q is none of the read-only commands that can be kept as evidence: %s", command, strings.Join(documented, ", "))
}

// RunCommand runs a documented command and returns what it printed, errors included.
var RunCommand = agent.Op[[]string, agent.None, string]{Name: "command"}

// maxOutput bounds what is kept of a command's output.
const maxOutput = 256 << 10

// HandleCommand serves RunCommand.
func HandleCommand(ctx context.Context, argv []string, _ func(agent.None)) (string, error) {
	if err := CheckCommand(argv); err != nil {
		return "", err
	}
	output, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	text := string(output[:min(len(output), maxOutput)])
	if err != nil {
		return fmt.Sprintf("%s\n(%s: %v)\n", text, strings.Join(argv, " "), err), nil
	}
	return text, nil
}
