package readers

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
)

// nfqueueKeys are the numbers of nfqueue, with the kernel's names.
// Source: linux net/netfilter/nfnetlink_queue.c (seq_show).
var nfqueueKeys = units.Keys{
	"queues":             {Means: "queues that a program has opened", Kind: units.Gauge},
	"queue_total":        {Means: "packets that wait for a program now", Kind: units.Gauge},
	"queue_dropped":      {Means: "packets dropped because their queue was full"},
	"queue_user_dropped": {Means: "packets dropped because the program's receive buffer was full"},
}

// nfqueue reads the namespace's queues. Only root outside of any user namespace may (see the offer nfqueue-counters).
func nfqueue(context.Context) (map[string]float64, error) {
	const file = "/proc/thread-self/net/netfilter/nfnetlink_queue"
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	values := map[string]float64{"queues": 0, "queue_total": 0, "queue_dropped": 0, "queue_user_dropped": 0}
	for line := range strings.Lines(string(text)) {
		columns := strings.Fields(line)
		values["queues"]++
		for key, column := range map[string]int{"queue_total": 2, "queue_dropped": 5, "queue_user_dropped": 6} {
			if len(columns) <= column {
				return nil, fmt.Errorf("%s: %q", file, line)
			}
			value, err := strconv.ParseFloat(columns[column], 64)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			values[key] += value
		}
	}
	return values, nil
}
