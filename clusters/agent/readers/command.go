package readers

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/agent/tool"
)

// Documented lists the read-only commands that documents recommend, and whose output scenarios may keep as evidence. The key of sysctl is one
// under net.
var Documented = []string{
	"conntrack -S", "conntrack -C", "conntrack -L -p tcp", "conntrack -L -p udp", "nft list ruleset", "iptables-save -c", "ip route", "ip -s link", "ip -d link",
	"bridge -d link", "bridge fdb", "ip neigh", "ss -s", "ss -tan",
	"cat /etc/resolv.conf", sysctlKey,
}

const sysctlKey = "sysctl net.KEY"

// key is a plain key of a setting: a slash is part of a link's name.
var key = regexp.MustCompile(`^net(\.[\w-]+(/[\w-]+)*)+$`)

// CheckCommand refuses a command that is not one of them.
func CheckCommand(argv []string) error {
	command := strings.Join(argv, " ")
	if len(argv) == 2 && argv[0] == "sysctl" && key.MatchString(argv[1]) {
		return nil
	}
	for _, known := range Documented {
		if slices.Equal(argv, strings.Fields(known)) && known != sysctlKey {
			return nil
		}
	}
	return fmt.Errorf("%q is not a known read-only command: must be one of %s", command, strings.Join(Documented, ", "))
}

// RunCommand runs a documented command and returns its output, including standard error.
var RunCommand = agent.Op[[]string, agent.None, string]{Name: "command"}

// maxOutput limits the stored output of a command.
const maxOutput = 256 << 10

// HandleCommand serves RunCommand.
func HandleCommand(ctx context.Context, argv []string, _ func(agent.None)) (string, error) {
	if err := CheckCommand(argv); err != nil {
		return "", err
	}
	output, err := tool.Network(ctx, argv[0], argv[1:]...).CombinedOutput()
	text := string(output[:min(len(output), maxOutput)])
	if err != nil {
		return fmt.Sprintf("%s\n(%s: %v)\n", text, strings.Join(argv, " "), err), nil
	}
	return text, nil
}
