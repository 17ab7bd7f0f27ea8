package reports

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/relapse-k8s/relapse/harness/history"
)

var number = regexp.MustCompile(`\d+`)

// Cause is a text without what tells its copies apart: numbers and the names of lanes. Each lane, phase and check repeats the error that
// ended it.
func Cause(text string, lanes []string) string {
	longest := slices.SortedFunc(slices.Values(lanes), func(a, b string) int { return len(b) - len(a) }) // one may begin with another
	for _, lane := range longest {
		text = strings.ReplaceAll(text, lane, "LANE")
	}
	return number.ReplaceAllString(strings.Join(strings.Fields(text), " "), "0")
}

// trouble is an error of the run, and how often it occurred elsewhere too.
type trouble struct {
	where, text, cause string
	more               int
}

func (t trouble) String() string {
	text := strings.TrimPrefix(t.where+": "+t.text, ": ")
	if t.more > 0 {
		text += fmt.Sprintf(" (and alike %s)", times(t.more))
	}
	return text
}

// times says how often something occurred beside the first time.
func times(more int) string {
	if more == 1 {
		return "once more"
	}
	return fmt.Sprintf("%d times more", more)
}

// troubles lists the errors of the run, each cause once.
func (d Data) troubles() []trouble {
	var all []trouble
	for _, e := range d.Events {
		if e.Kind != history.KindError {
			continue
		}
		cause := Cause(cmp.Or(e.Text, "an error without a message"), d.laneNames())
		if i := slices.IndexFunc(all, func(t trouble) bool { return t.cause == cause }); i >= 0 {
			all[i].more++
			continue
		}
		all = append(all, trouble{where: place(e), text: e.Text, cause: cause})
	}
	return all
}

func (d Data) laneNames() []string {
	var names []string
	for _, e := range d.Events {
		if e.Lane != "" && !slices.Contains(names, e.Lane) {
			names = append(names, e.Lane)
		}
	}
	return names
}
