package contain_test

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/agent/onkind/contain"
)

func TestCommandLine(t *testing.T) {
	g := NewWithT(t)
	for _, c := range []contain.Container{
		{Name: "main", Argv: []string{"/relapse-agent", "pause"}, Command: 1},
		{Name: "proxy", Argv: []string{"/usr/sbin/nginx", "-c", "/run/proxy/nginx.conf", "--"}, Command: 1, Copies: []contain.Copy{
			{From: "/run/relapse/given/config", To: "/run/proxy"}, {From: "/run/relapse/given/config/passwd", To: "/etc/passwd"},
		}},
	} {
		g.Expect(contain.Parse(c.Words())).To(Equal(c))
	}
	for _, wrong := range [][]string{
		nil, {"main"}, {"main", "--"}, {"--", "sh"}, {"main", "command=2", "--", "sh"}, {"main", "command=0", "--", "sh"},
		{"main", "copy=/a", "--", "sh"}, {"main", "copy=a:/b", "--", "sh"}, {"main", "other=1", "--", "sh"},
	} {
		_, err := contain.Parse(wrong)
		g.Expect(err).To(HaveOccurred(), "%q", wrong)
	}
}
