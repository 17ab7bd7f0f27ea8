package fingerprint

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Diff returns one sentence for each difference between two fingerprints, or nothing if they are the same. On a host it ignores what
// others do at the same time: links that are made and deleted, tables that their owners change, and what loading a module adds.
func Diff(before, after Fingerprint) []string {
	c := &comparison{before: before, after: after, run: after.Run, host: before.Host != nil || after.Host != nil}
	if before.Netns != after.Netns {
		return []string{fmt.Sprintf("the network namespace was net:[%d] and is net:[%d]", before.Netns, after.Netns)}
	}
	c.links()
	c.lines("address", before.Addresses, after.Addresses)
	c.lines("neighbour", before.Neighbours, after.Neighbours)
	c.lines("route", before.Routes, after.Routes)
	c.lines("rule", before.Rules, after.Rules)
	c.lines("qdisc", before.Qdiscs, after.Qdiscs)
	if before.NftBy != after.NftBy {
		c.differs("nftables was read by %s and then by %s", before.NftBy, after.NftBy)
	} else {
		c.tables("nft table", before.Nft, after.Nft)
	}
	c.tables("legacy iptables table", before.Legacy, after.Legacy)
	c.sysctls()
	c.hosts()
	return c.differences
}

type comparison struct {
	before, after Fingerprint
	run           string
	host          bool
	differences   []string
}

func (c *comparison) differs(format string, args ...any) {
	c.differences = append(c.differences, fmt.Sprintf(format, args...))
}

// foreignLink says whether a link of the host does not belong to this run: a virtual link without the run's name. The loss of a real
// device is always a difference.
func (c *comparison) foreignLink(name string) bool {
	if !c.host {
		return false
	}
	link, ok := c.after.Links[name]
	if !ok {
		link = c.before.Links[name]
	}
	return link.Type != "device" && !ours(c.run, name, link.Alias)
}

func (c *comparison) links() {
	for _, name := range keys(c.before.Links, c.after.Links) {
		was, had := c.before.Links[name]
		is, has := c.after.Links[name]
		switch {
		case c.foreignLink(name):
		case !had:
			c.differs("link %s appeared: %s", name, is)
		case !has:
			c.differs("link %s disappeared: %s", name, was)
		case was != is:
			c.differs("link %s: %s -> %s", name, was, is)
		}
	}
}

// lines compares lists in which a line may occur more than once.
func (c *comparison) lines(what string, before, after []string) {
	count := map[string]int{}
	for _, line := range before {
		count[line]--
	}
	for _, line := range after {
		count[line]++
	}
	for _, line := range slices.Sorted(maps.Keys(count)) {
		if c.foreignLine(line) {
			continue
		}
		for range count[line] {
			c.differs("%s appeared: %s", what, line)
		}
		for range -count[line] {
			c.differs("%s disappeared: %s", what, line)
		}
	}
}

// foreignLine says whether a line belongs to a foreign link.
func (c *comparison) foreignLine(line string) bool {
	words := strings.Fields(line)
	i := slices.Index(words, "dev")
	return i >= 0 && i+1 < len(words) && c.foreignLink(words[i+1])
}

func (c *comparison) tables(what string, before, after map[string]string) {
	for _, name := range keys(before, after) {
		was, had := before[name]
		is, has := after[name]
		_, table, _ := strings.Cut(name, " ")
		foreign := c.host && !ours(c.run, table)
		switch {
		case !had:
			if !foreign {
				c.differs("%s %s appeared", what, name)
			}
		case !has:
			// If a foreign table is gone or empty, relapse may have flushed it, which it must never do. A table of another run disappears when
			// that run ends.
			if !foreign || !strings.HasPrefix(table, "relapse") {
				c.differs("%s %s disappeared", what, name)
			}
		case was != is:
			if emptied := hasRules(was) && !hasRules(is); !foreign || emptied {
				c.differs("%s %s: %s", what, name, lineChanges(was, is))
			}
		}
	}
}

// hasRules says whether the text of a table has rules in its chains: a line of iptables-save that appends, or a line within a
// chain of nft's other than its hook, or a count.
func hasRules(text string) bool {
	inChain := false
	for line := range strings.Lines(text) {
		switch {
		case strings.HasPrefix(line, "-A "), strings.HasPrefix(line, "chain ") && !strings.Contains(line, ": 0 rules"):
			return true
		case strings.HasPrefix(line, "\tchain "):
			inChain = true
		case strings.HasPrefix(line, "\t}"):
			inChain = false
		case inChain && !strings.HasPrefix(line, "\t\ttype "):
			return true
		}
	}
	return false
}

// lineChanges lists the removed and the added lines of a text, up to a readable number.
func lineChanges(was, is string) string {
	count := map[string]int{}
	var order []string
	tally := func(text string, by int) {
		for line := range strings.Lines(text) {
			line = strings.TrimSpace(line)
			if _, seen := count[line]; !seen {
				order = append(order, line)
			}
			count[line] += by
		}
	}
	tally(was, -1)
	tally(is, 1)
	var changes []string
	for _, line := range order {
		switch {
		case line == "":
		case count[line] < 0:
			changes = append(changes, fmt.Sprintf("- %q", line))
		case count[line] > 0:
			changes = append(changes, fmt.Sprintf("+ %q", line))
		}
	}
	if len(changes) == 0 {
		return "the same lines in another order"
	}
	const most = 8
	if len(changes) > most {
		changes = append(changes[:most], fmt.Sprintf("and %d more lines", len(changes)-most))
	}
	return strings.Join(changes, ", ")
}

func (c *comparison) sysctls() {
	for _, key := range keys(c.before.Sysctls, c.after.Sysctls) {
		was, had := c.before.Sysctls[key]
		is, has := c.after.Sysctls[key]
		if had && has && was == is {
			continue
		}
		link := sysctlLink(key)
		_, linkHad := c.before.Links[link]
		_, linkHas := c.after.Links[link]
		switch {
		case link != "" && (linkHad != linkHas || c.foreignLink(link)):
			// The settings of a link appear and disappear with it, and the link is reported already.
		case !had:
			// relapse only changes settings, it does not create them: this one was added by a module.
		case !has:
			c.differs("sysctl %s disappeared: %s", key, was)
		default:
			c.differs("sysctl %s: %s -> %s", key, was, is)
		}
	}
}

// hosts looks only for additions. Something that is gone is not a leftover.
func (c *comparison) hosts() {
	if c.before.Host == nil || c.after.Host == nil {
		if c.before.Host != c.after.Host {
			c.differs("only one of the two fingerprints is of a host")
		}
		return
	}
	appeared := func(what string, before, after []string) {
		for _, name := range after {
			if !slices.Contains(before, name) {
				c.differs("%s is left: %s", what, name)
			}
		}
	}
	appeared("a process", c.before.Host.Processes, c.after.Host.Processes)
	appeared("a network namespace", c.before.Host.Namespaces, c.after.Host.Namespaces)
	appeared("a file", c.before.Host.Files, c.after.Host.Files)
}

// keys are the keys of both maps, sorted.
func keys[V any](a, b map[string]V) []string {
	all := map[string]bool{}
	for key := range a {
		all[key] = true
	}
	for key := range b {
		all[key] = true
	}
	return slices.Sorted(maps.Keys(all))
}
