package runstate

import (
	"crypto/rand"
	"encoding/hex"
	"regexp"
	"time"
)

// newID is the time in UTC and two random bytes: 20261121-035502-3f9a.
func newID(now time.Time) string {
	var random [2]byte
	_, _ = rand.Read(random[:]) // it never fails: see crypto/rand
	return now.UTC().Format("20060102-150405-") + hex.EncodeToString(random[:])
}

var idPattern = regexp.MustCompile(`^[0-9]{8}-[0-9]{6}-([0-9a-f]{4})$`)

// ValidID says whether a text has the form of a run's id.
func ValidID(id string) bool { return idPattern.MatchString(id) }

// ObjectPrefix is the start of the names of a run's objects if they could collide with those of other runs: relapse3f9a. It leaves four
// of the fifteen characters of a link's name.
func ObjectPrefix(id string) string {
	if match := idPattern.FindStringSubmatch(id); match != nil {
		return "relapse" + match[1]
	}
	return "relapse"
}
