package suggest

import (
	"testing"

	. "github.com/onsi/gomega"
)

func TestMeant(t *testing.T) {
	g := NewWithT(t)
	names := []string{"hold-pairs", "hold", "sysctl", "dns-config", "on"}
	for typed, meant := range map[string]string{
		"hodl": "hold", "holdPairs": "hold-pairs", "DNS_Config": "dns-config", "syctsl": "sysctl", "onn": "on", "sys": "sysctl",
		"reboot": "", "x": "", "": "",
	} {
		g.Expect(Meant(typed, names)).To(Equal(meant), typed)
	}
}
