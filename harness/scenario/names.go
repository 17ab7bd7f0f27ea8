package scenario

import "regexp"

var nameForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)

// ValidName reports whether a name has the form of all names in scenario files: that of a label in the DNS.
func ValidName(name string) bool { return len(name) <= MaxName && nameForm.MatchString(name) }
