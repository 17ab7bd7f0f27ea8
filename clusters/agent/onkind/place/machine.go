package place

import (
	"fmt"
	"strings"

	"github.com/relapse-k8s/relapse/clusters/agent/undo"
)

// wholeMachine are the settings that hold for every network namespace of the machine, the ends of their keys. On nodes that are
// containers the kernel keeps them from being written; on others it would not.
var wholeMachine = []string{
	"nf_conntrack_max", "nf_conntrack_buckets", "nf_conntrack_expect_max", "nf_log_all_netns",
	"neigh.default.gc_thresh1", "neigh.default.gc_thresh2", "neigh.default.gc_thresh3",
}

// RefuseMachine refuses what is not the place's own: a node shares its kernel with others, on kind with the machine of whoever runs it.
func RefuseMachine(r undo.Record) error {
	if r.Sysctl == nil {
		return nil
	}
	key := undo.SysctlKey(undo.SysctlPath(r.Sysctl.Key))
	for _, end := range wholeMachine {
		if strings.HasSuffix(key, "."+end) {
			return fmt.Errorf("refused: %s holds for the whole machine, which only the host's agent may change", key)
		}
	}
	return nil
}
