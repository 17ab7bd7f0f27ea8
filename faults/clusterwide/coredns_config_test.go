package clusterwide

import (
	"testing"

	. "github.com/onsi/gomega"
)

func TestPluginsOfTheFirstServer(t *testing.T) {
	const before = ".:53 {\n    errors\n    cache 30 {\n        disable success cluster.local\n    }\n    loop\n}\nother:53 {\n    loop\n}\n"
	for _, c := range []struct{ name, text, want string }{
		{"cache", "cache 5", ".:53 {\n    errors\n    cache 5\n    loop\n}\nother:53 {\n    loop\n}\n"},
		{"cache", "", ".:53 {\n    errors\n    loop\n}\nother:53 {\n    loop\n}\n"},
		{"loop", "", ".:53 {\n    errors\n    cache 30 {\n        disable success cluster.local\n    }\n}\nother:53 {\n    loop\n}\n"},
		{"errors", "errors {\n  stacktrace\n}\n", ".:53 {\n    errors {\n      stacktrace\n    }\n    cache 30 {\n        disable success cluster.local\n    }\n    loop\n}\nother:53 {\n    loop\n}\n"},
		{"log", "log", ".:53 {\n    errors\n    cache 30 {\n        disable success cluster.local\n    }\n    loop\n    log\n}\nother:53 {\n    loop\n}\n"},
	} {
		g := NewWithT(t)
		change := &CoreDNSConfig{Plugins: map[string]string{c.name: c.text}}
		g.Expect(change.Validate()).To(Succeed())
		after, err := change.change(before)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(after).To(Equal(c.want))
		_, err = change.change(after)
		g.Expect(err).To(MatchError(ContainSubstring("would change nothing")))
	}
}
