package faults

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
)

func TestZonesOfOutsideNames(t *testing.T) {
	g := NewWithT(t)
	c := &OutsideDNS{Names: []OutsideName{
		{Name: "*.Corp.example.", Addresses: []string{"203.0.113.7"}, Delay: units.Duration(time.Second), TTL: units.Duration(5 * time.Second)},
		{Name: "quiet.example", Silent: true},
	}}
	g.Expect(c.Validate()).To(Succeed())
	g.Expect(c.zones("    bind 203.0.113.53")).To(Equal(`corp.example:53 {
    errors
    bind 203.0.113.53
    lag {
        delay 1s
        appears 0s
    }
    template IN A {
        match "\.corp\.example\.$"
        fallthrough
        answer "{{ .Name }} 5 IN A 203.0.113.7"
        rcode NOERROR
    }
    template ANY ANY {
        match "\.corp\.example\.$"
        fallthrough
        rcode NOERROR
    }
    template ANY ANY {
        rcode NXDOMAIN
    }
}
quiet.example:53 {
    errors
    bind 203.0.113.53
    lag {
        silent
        delay 0s
        appears 0s
    }
    template IN A {
        match "^quiet\.example\.$"
        fallthrough
        rcode NOERROR
    }
    template ANY ANY {
        match "^quiet\.example\.$"
        fallthrough
        rcode NOERROR
    }
    template ANY ANY {
        rcode NXDOMAIN
    }
}
`))
}
