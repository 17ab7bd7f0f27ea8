package load

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/relapse-k8s/relapse/harness/regular"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// readYAML returns the one document of a file, or nil if it cannot be read. It refuses what makes a file mean something
// else than it seems to: anchors, aliases, merge keys, tags, tabs, duplicate keys and further documents.
func readYAML(data []byte, r *report) *yaml.Node {
	if len(data) > regular.MaxScenario {
		r.add(position{1, 1}, "", "the file has more than %d bytes", regular.MaxScenario)
		return nil
	}
	tabs := refuseTabs(data, r)
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		r.add(position{1, 1}, "", "the file is empty: a scenario starts with apiVersion: %s", scenario.APIVersion)
		return nil
	case err != nil:
		if !tabs { // it would only say the same in other words
			syntaxError(err, r)
		}
		return nil
	}
	var next yaml.Node
	if err := decoder.Decode(&next); err == nil {
		at := position{next.Line, next.Column}
		if len(next.Content) > 0 {
			at = where(next.Content[0])
		}
		r.add(at, "", "a second document starts here: a file holds one scenario")
	} else if !errors.Is(err, io.EOF) {
		syntaxError(err, r)
	}
	root := document.Content[0]
	if !small(root, r) {
		return nil
	}
	refuseSurprises(root, "", r)
	return root
}

func where(n *yaml.Node) position { return position{max(n.Line, 1), max(n.Column, 1)} }

func refuseTabs(data []byte, r *report) bool {
	found := false
	for i, line := range bytes.Split(data, []byte("\n")) {
		if before, _, tab := bytes.Cut(line, []byte("\t")); tab {
			found = true
			r.add(position{i + 1, utf8.RuneCount(before) + 1}, "", `a tab: indent and align with spaces (in double quotes, write \t)`)
		}
	}
	return found
}

var yamlErrorLine = regexp.MustCompile(`line (\d+): `)

// syntaxError repeats what the parser says; it knows the line only.
func syntaxError(err error, r *report) {
	message, line := strings.TrimPrefix(err.Error(), "yaml: "), 1
	if m := yamlErrorLine.FindStringSubmatchIndex(message); m != nil {
		line, _ = strconv.Atoi(message[m[2]:m[3]])
		message = message[:m[0]] + message[m[1]:]
	}
	if strings.HasPrefix(message, "did not find expected") {
		line++ // for these, the parser counts lines from 0
	}
	r.add(position{line, 1}, "", "not YAML: %s", message)
}

func refuseSurprises(n *yaml.Node, path string, r *report) {
	if n.Kind == yaml.AliasNode {
		r.add(where(n), path, "the alias *%s: write the value out", n.Value)
		return
	}
	if n.Anchor != "" {
		r.add(where(n), path, "the anchor &%s: anchors and aliases are not used here, write values out", n.Anchor)
	}
	if n.Style&yaml.TaggedStyle != 0 {
		r.add(where(n), path, "the tag %s: tags are not used here", n.Tag)
	}
	switch n.Kind {
	case yaml.SequenceNode:
		for i, item := range n.Content {
			refuseSurprises(item, index(path, i), r)
		}
	case yaml.MappingNode:
		refuseKeys(n, path, r)
	}
}

func refuseKeys(n *yaml.Node, path string, r *report) {
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			r.add(where(key), path, "a key must be a name, not %s", describe(key))
			continue
		}
		at := join(path, key.Value)
		if isMerge(key) {
			r.add(where(key), path, "the merge key <<: write the values out")
			continue
		}
		if key.Anchor != "" {
			r.add(where(key), at, "the anchor &%s: anchors and aliases are not used here, write values out", key.Anchor)
		}
		if line, twice := first[key.Value]; twice {
			r.add(where(key), at, "given twice: first in line %d", line)
		} else {
			first[key.Value] = key.Line
		}
		refuseSurprises(value, at, r)
	}
}

func isMerge(key *yaml.Node) bool {
	return key.Value == "<<" && key.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) == 0
}

// pairs calls visit for each key of a mapping that refuseKeys let pass.
func pairs(n *yaml.Node, visit func(key, value *yaml.Node)) {
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind == yaml.ScalarNode && !isMerge(key) && !seen[key.Value] {
			seen[key.Value] = true
			visit(key, n.Content[i+1])
		}
	}
}
