package kind

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/agent/fingerprint"
)

func TestPortmapKeepsItsChains(t *testing.T) {
	g := NewWithT(t)
	const before = `table ip nat {
	chain POSTROUTING {
		type nat hook postrouting priority srcnat; policy accept;
	}
}
`
	const after = `table ip nat {
	chain POSTROUTING {
		type nat hook postrouting priority srcnat; policy accept;
		counter jump CNI-HOSTPORT-MASQ
	}
	chain PREROUTING {
		type nat hook prerouting priority dstnat; policy accept;
		fib daddr type local counter jump CNI-HOSTPORT-DNAT
	}
	chain CNI-HOSTPORT-MASQ {
		meta mark & 0x00002000 == 0x00002000 counter masquerade
	}
	chain CNI-HOSTPORT-DNAT {
	}
}
`
	of := func(text string) fingerprint.Fingerprint {
		return withoutPortmap(fingerprint.Fingerprint{Nft: map[string]string{"ip nat": text}})
	}
	g.Expect(fingerprint.Diff(of(before), of(after))).To(BeEmpty())
	g.Expect(fingerprint.Diff(of(before), of(after+"chain CNI-DN-1234 {\n}\n"))).To(HaveLen(1), "a pod's own chain")
}
