package scenario

import "strings"

// String names the subject: "forced, fault, detector drop".
func (s Subject) String() string {
	var parts []string
	for _, part := range [][2]string{{"", s.Variant}, {"", s.Phase}, {"detector ", s.Detector}, {"claim ", s.Claim}} {
		if part[1] != "" {
			parts = append(parts, part[0]+part[1])
		}
	}
	return strings.Join(parts, ", ")
}

// Covers reports whether a run on a cluster with kube-proxy in that mode is covered.
func (s Side) Covers(cluster, proxy string) bool {
	return (s.Cluster == "" || s.Cluster == cluster) && (s.Proxy == "" || s.Proxy == proxy)
}

// String says the result and the clusters: "fired on kind, iptables".
func (s Side) String() string {
	return s.Says + " on " + strings.Trim(s.Cluster+", "+s.Proxy, ", ")
}
