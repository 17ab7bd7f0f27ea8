package undo

import (
	"fmt"
	"slices"
)

// Two changes may set the same thing, one after the other: the fault a limit, the remedy another. Each record then holds the value
// that the change before it made. If the earlier change is undone while the later one stays, the thing must keep the later change's
// value, and the later record takes over the earlier one's old value: otherwise undoing it would bring the earlier change back.

// subject names the thing whose old value a record holds. It is empty for records that delete what was created.
func (r Record) subject() string {
	switch {
	case r.Sysctl != nil:
		return "sysctl " + oneName(SysctlPath(r.Sysctl.Key))
	case r.File != nil:
		return "file " + r.File.Path
	case r.Link != nil:
		return "link " + r.Link.Link + " " + r.Link.Setting
	case r.Route != nil:
		return fmt.Sprintf("route %s %d %d", r.Route.To, r.Route.Table, r.Route.Metric)
	case r.Neighbour != nil:
		return "neighbour " + r.Neighbour.Link + " " + r.Neighbour.Address
	}
	return ""
}

// successor is the next later item of the same subject, or nil. It is called with the stack's mutex held.
func (s *Stack) successor(it *item) *item {
	subject := it.record.subject()
	if subject == "" {
		return nil
	}
	after := s.items[slices.Index(s.items, it)+1:]
	if i := slices.IndexFunc(after, func(other *item) bool { return other.record.subject() == subject }); i >= 0 {
		return after[i]
	}
	return nil
}
