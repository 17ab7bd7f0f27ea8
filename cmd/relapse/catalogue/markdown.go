package catalogue

import (
	"fmt"
	"slices"
	"strings"

	"github.com/relapse-k8s/relapse/harness/scenario"
)

// layers in the order in which people ask: where the name comes from, then the Service, then everything below.
var layers = []struct{ Name, Title string }{
	{"dns", "DNS"}, {"service", "Services and kube-proxy"}, {"L7", "Applications and proxies"}, {"L4", "Connections, conntrack and NAT"},
	{"policy", "Network policies"}, {"L3", "Routes"}, {"L2", "Links and neighbours"}, {"cni", "Pods and their network"},
}

// Markdown is a list of scenarios for people who have a symptom: what they see, what it is, how it is detected and cured, where it runs.
func Markdown(all []*scenario.Scenario) string {
	var out strings.Builder
	out.WriteString("# Scenarios\n\nEach is one file: a known failure, how to see it, and how to cure it. This list is generated (`make generate`).\n" +
		"`relapse list --symptom \"lookups time out after 5s\"` finds those that may be what you see; `relapse show ID` explains one;\n" +
		"`make scenario NAME=ID` runs it.\n")
	for _, layer := range layers {
		head := fmt.Sprintf("\n## %s\n\n| what people see | scenario | detection | cure | runs in |\n|---|---|---|---|---|\n", layer.Title)
		for _, s := range all {
			if s.Metadata.Layer != layer.Name {
				continue
			}
			out.WriteString(head)
			head = ""
			var detectors, remedies []string
			for _, d := range s.Detection {
				if d.Expect != scenario.ExpectSilent {
					detectors = append(detectors, d.Title)
				}
			}
			for _, r := range s.Remedies {
				remedies = append(remedies, r.Title)
			}
			fmt.Fprintf(&out, "| %s | [%s](%[2]s.yaml) | %s | %s | %s |\n", cell(s.Metadata.Title), s.Metadata.ID, cell(strings.Join(detectors, "; ")),
				cell(strings.Join(remedies, "; ")), cell(runsIn(s)))
		}
	}
	return out.String()
}

// cell keeps a text within its cell of a table.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;", ">", "&gt;").Replace(text)
}

// runsIn says on which clusters a scenario runs, and how its variants are brought about.
func runsIn(s *scenario.Scenario) string {
	where := "lab, kind"
	switch {
	case slices.Contains(s.Needs, "calico"):
		where = "kind with Calico"
	case slices.Contains(s.Needs, "kubernetes"):
		where = "kind"
	}
	var mechanisms []string
	for _, v := range s.Variants {
		mechanisms = append(mechanisms, v.Mechanism)
		if v.HostChanges {
			where += "; one variant changes the machine"
		}
	}
	slices.Sort(mechanisms)
	return where + " (" + strings.Join(slices.Compact(mechanisms), ", ") + ")"
}
