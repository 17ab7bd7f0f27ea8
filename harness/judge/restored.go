package judge

import (
	"cmp"
	"fmt"
)

// restored says whether everything is as before, in all lanes and on the host.
func restored(r *record, lanes []string) Restored {
	all := Restored{Differences: []string{}}
	add := func(name string, l *lane) {
		if len(l.prints) == 0 {
			all.Differences = append(all.Differences, name+": no fingerprint was taken afterwards")
		}
		for _, print := range l.prints {
			for _, difference := range print.Differences {
				where := print.On
				if l.name != "" {
					where = l.name + " " + print.On
				}
				all.Differences = append(all.Differences, where+": "+difference)
			}
		}
	}
	add("host", r.host)
	for _, name := range lanes {
		add(name, r.lane(name))
	}
	all.Clean = len(all.Differences) == 0
	return all
}

// hostFindings are what the run as a whole must answer for: its own errors, and the state of the host.
func hostFindings(r *record, lanes []string) []finding {
	planned := map[string]bool{}
	for _, name := range lanes {
		planned[name] = true
	}
	var findings []finding
	errors := r.host.errors
	for _, name := range sortedLanes(r) {
		if !planned[name] && len(r.lanes[name].errors) > 0 {
			errors = append(errors, r.lanes[name].errors...)
		}
	}
	for _, text := range errors {
		findings = append(findings, gate("the run meets no error", text, false, "the run broke down: "+text))
	}
	for _, key := range r.host.changes.sorted() {
		if s := r.host.changes[key]; s.on {
			findings = append(findings, finding{outcome: Fail, hard: true,
				reason: fmt.Sprintf("change %s on %s was not undone: %s", key.id, key.on, cmp.Or(s.trouble, "nobody tried"))})
		}
	}
	for _, print := range r.host.prints {
		if len(print.Differences) > 0 {
			findings = append(findings, finding{outcome: Fail, hard: true,
				reason: fmt.Sprintf("the host is not as before: %s: %s", print.On, print.Differences[0])})
		}
	}
	if len(r.host.prints) == 0 {
		findings = append(findings, gate("", "", false, "no fingerprint of the host was taken afterwards"))
	}
	return findings
}
