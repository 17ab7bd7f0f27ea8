package undo

import "slices"

// Two changes may set the same thing, one after the other: the fault a limit, the remedy another. Each record then holds the value
// that the change before it made. When the earlier change is undone while the later one stays, the thing must keep the later
// change's value, and the later record inherits the earlier one's old value: or undoing it would bring the earlier change back.

// subject names the thing whose old value a record holds; it is empty for records that delete what was created.
func (r Record) subject() string {
	switch {
	case r.Sysctl != nil:
		return "sysctl " + oneName(SysctlPath(r.Sysctl.Key))
	case r.File != nil:
		return "file " + r.File.Path
	case r.LinkState != nil && r.LinkState.Up != nil:
		return "up " + r.LinkState.Name
	case r.LinkState != nil:
		return "mtu " + r.LinkState.Name
	}
	return ""
}

// split parts a record that holds old values of two things.
func (r Record) split() []Record {
	if r.LinkState == nil || r.LinkState.MTU == 0 || r.LinkState.Up == nil {
		return []Record{r}
	}
	return []Record{
		{LinkState: &LinkState{Name: r.LinkState.Name, Up: r.LinkState.Up}},
		{LinkState: &LinkState{Name: r.LinkState.Name, MTU: r.LinkState.MTU}},
	}
}

// heir is the next later item of the same subject, or nil. It is called with the stack's mutex held.
func (s *Stack) heir(it *item) *item {
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
