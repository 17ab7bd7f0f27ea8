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

// ValidID says whether a text looks like the id of a run.
func ValidID(id string) bool { return idPattern.MatchString(id) }

// ObjectPrefix is what the names of a run's objects start with where they could meet those of other runs: relapse3f9a. It leaves
// four characters of a link's fifteen.
func ObjectPrefix(id string) string {
	if match := idPattern.FindStringSubmatch(id); match != nil {
		return "relapse" + match[1]
	}
	return "relapse"
}
