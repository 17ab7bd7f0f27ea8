package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/cmd/relapse/catalogue"
	"github.com/relapse-k8s/relapse/harness/scenario"
	"github.com/relapse-k8s/relapse/harness/scenario/suggest"
	"github.com/relapse-k8s/relapse/harness/schema"
)

// word is a word that scenario files use.
type word struct {
	name, means string
	// more prints what else is known of it.
	more func(p *page)
}

// topic is a kind of words.
type topic struct {
	name, plural, where string
	words               []word
}

func newExplain() *cobra.Command {
	c := &cobra.Command{
		Use: "explain [KIND [NAME]]", Short: "List the words of scenario files, and explain them",
		Long: `Explain lists what a scenario file can name: changes, probes, detectors, readers
with their numbers, log lines, offers, places, and commands for evidence. All of
it is compiled in; the loader checks files against the same lists.`,
		Example: "  relapse explain\n  relapse explain reader\n  relapse explain reader conntrack\n  relapse explain change hold-pairs",
		Args:    cobra.MaximumNArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			p := &page{w: c.OutOrStdout(), width: min(width(c.OutOrStdout()), 110)}
			all, err := topics()
			if err != nil {
				return err
			}
			if len(args) == 0 {
				for _, t := range all {
					p.text(fmt.Sprintf("%-10s", t.plural), t.where)
				}
				p.verbatim("", "")
				p.verbatim("", "For more: relapse explain KIND, relapse explain KIND NAME")
				return nil
			}
			i := slices.IndexFunc(all, func(t topic) bool { return args[0] == t.name || args[0] == t.plural })
			if i < 0 {
				return unknown("kind", args[0], all, func(t topic) string { return t.name })
			}
			if len(args) == 1 {
				p.list(all[i].words)
				return nil
			}
			words := all[i].words
			k := slices.IndexFunc(words, func(w word) bool { return w.name == args[1] })
			if k < 0 { // metrics and metrics/10249 mean metrics/PORT
				typed, _, _ := strings.Cut(args[1], "/")
				k = slices.IndexFunc(words, func(w word) bool { return strings.HasPrefix(w.name, typed+"/") })
			}
			if k < 0 {
				return unknown(all[i].name, args[1], words, func(w word) string { return w.name })
			}
			p.text("", words[k].name+": "+words[k].means)
			if words[k].more != nil {
				words[k].more(p)
			}
			return nil
		},
	}
	c.ValidArgsFunction = func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		var names []string
		all, _ := topics()
		for _, t := range all {
			if len(args) == 0 {
				names = append(names, t.name)
			} else if args[0] == t.name || args[0] == t.plural {
				for _, w := range t.words {
					names = append(names, w.name)
				}
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
	return c
}

// unknown says which word was probably meant.
func unknown[T any](noun, typed string, list []T, name func(T) string) error {
	var names []string
	for _, one := range list {
		names = append(names, name(one))
	}
	return usagef("unknown %s %q%s", noun, typed, suggest.Hint(typed, noun+"s", names))
}

// list prints words with the first sentence of their meaning.
func (p *page) list(words []word) {
	column := 0
	for _, w := range words {
		column = max(column, len(w.name))
	}
	for _, w := range words {
		first, _, _ := strings.Cut(w.means, ". ")
		p.text(fmt.Sprintf("%-*s  ", min(column, 28), w.name), strings.TrimSuffix(first, "."))
	}
}

// topics are all kinds, made from the catalogues and the schema.
func topics() ([]topic, error) {
	var doc document
	if err := json.Unmarshal(schema.JSON(), &doc); err != nil {
		return nil, err
	}
	cat := catalogue.All()
	var readers, logs, offers, places, commands []word
	for _, name := range sorted(cat.Readers) {
		r := cat.Readers[name]
		readers = append(readers, word{r.Form(name), r.Reads, func(p *page) { p.keys(r.Keys) }})
	}
	for _, name := range sorted(cat.Logs) {
		events := cat.Logs[name]
		logs = append(logs, word{name, strings.Join(sorted(events), ", "), func(p *page) {
			p.heading("Events")
			for _, event := range sorted(events) {
				p.text("  "+event+"  ", events[event].Means)
				if fields := events[event].Fields; len(fields) > 0 {
					p.text("      fields: ", strings.Join(fields, ", "))
				}
			}
		}})
	}
	for _, name := range sorted(cat.Offers) {
		offers = append(offers, word{name, cat.Offers[name], nil})
	}
	for _, place := range scenario.Places {
		places = append(places, word{place.Form, place.Means, nil})
	}
	for _, command := range cat.Commands {
		if name, open := strings.CutSuffix(command, " "); open {
			command = name + " NAME"
		}
		commands = append(commands, word{command, "", nil})
	}
	return []topic{
		{"change", "changes", "what a fault, remedy or control does, with its settings and readings", doc.words("Step", cat.Changes)},
		{"probe", "probes", "what a user of the cluster does", doc.words("Probe", cat.Probes)},
		{"detector", "detectors", "ways to see a failure", doc.words("Detector", cat.Detectors)},
		{"reader", "readers", "sources of numbers, with their numbers", readers},
		{"log", "logs", "logs, with the lines that a detector can look for", logs},
		{"offer", "offers", "what a cluster can offer, for needs, repairedBy and claims", offers},
		{"place", "places", "where something is done or read", places},
		{"command", "commands", "read-only commands whose output can be evidence", commands},
	}, nil
}

// document is what the schema says of types.
type document struct {
	Defs map[string]definition `json:"$defs"`
}

type definition struct {
	Ref         string `json:"$ref"`
	Type        string
	Description string
	Required    []string
	Enum        []any
	Properties  map[string]definition
}

// words are the entries of a catalogue, each with its settings, and with the readings of a change.
func (d document) words(def string, entries map[string]func() any) []word {
	var all []word
	for _, name := range sorted(entries) {
		property := d.Defs[def].Properties[name]
		settings := property
		if property.Ref != "" {
			settings = d.Defs[strings.TrimPrefix(property.Ref, "#/$defs/")]
		}
		all = append(all, word{name, named(name, property.Description), func(p *page) {
			p.settings(settings)
			if change, ok := entries[name]().(scenario.Reporter); ok {
				p.heading("Readings, as change/ID")
				p.keys(change.Keys().And(units.Applied, units.AppliedKey))
			}
		}})
	}
	return all
}

// named writes a description with the name that files use in place of Go's.
func named(name, description string) string {
	first, rest, _ := strings.Cut(description, " ")
	if strings.EqualFold(strings.ReplaceAll(name, "-", ""), first) {
		return name + " " + rest
	}
	return description
}

func (p *page) settings(d definition) {
	if len(d.Properties) == 0 {
		return
	}
	p.heading("Settings")
	for _, name := range sorted(d.Properties) {
		field := d.Properties[name]
		kind := cmp.Or(field.Type, strings.TrimPrefix(field.Ref, "#/$defs/units."))
		if field.Type == "array" {
			kind = "list"
		}
		if slices.Contains(d.Required, name) {
			kind += ", required"
		}
		p.text("  ", fmt.Sprintf("%s (%s)", name, strings.TrimPrefix(kind, ", ")))
		p.text("      ", named(name, field.Description))
		if len(field.Enum) > 0 {
			p.text("      ", "One of "+strings.Trim(fmt.Sprint(field.Enum), "[]")+".")
		}
	}
}

var lastNumber = regexp.MustCompile(`\d+$`)

// keys prints numbers with their meaning, and then the names of those that have no meaning of ours. Of names that differ only in the
// number at their end one is printed.
func (p *page) keys(keys units.Keys) {
	var words []word
	var names []string
	for _, name := range sorted(keys) {
		if key := keys[name]; key.Means != "" {
			words = append(words, word{name: "  " + name, means: key.Means})
			continue
		}
		if name = lastNumber.ReplaceAllString(name, "N"); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	p.list(words)
	if len(names) > 0 {
		p.text("  ", strings.Join(names, " "))
	}
}

func sorted[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }
