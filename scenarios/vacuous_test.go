package scenarios_test

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/relapse-k8s/relapse/cmd/relapse/catalogue"
	"github.com/relapse-k8s/relapse/harness/run"
	"github.com/relapse-k8s/relapse/harness/scenario/load"
)

// trick is a scenario that was written to pass though nothing fails: base.yaml with texts replaced, each of which is in it once.
type trick struct {
	Name, Why string
	Replace   map[string]string
	// Load is the error that it gets when it is loaded, without the file's name.
	Load string
	// Run is a pattern for the outcome and the reason of a run.
	Run string
}

// vacuous loads the tricks and runs those that load. Without a trick the scenario passes, so that it is the trick that does not.
func vacuous(t *testing.T, b *bench) {
	var base, list []byte
	for name, data := range map[string]*[]byte{"base.yaml": &base, "cases.yaml": &list} {
		var err error
		if *data, err = os.ReadFile("testdata/vacuous/" + name); err != nil {
			t.Fatal(err)
		}
	}
	var tricks []trick
	decoder := yaml.NewDecoder(bytes.NewReader(list))
	decoder.KnownFields(true)
	if err := decoder.Decode(&tricks); err != nil {
		t.Fatal(err)
	}
	for _, trick := range tricks {
		t.Run("vacuous/"+trick.Name, func(t *testing.T) {
			e, source := book.enter(t), string(base)
			for old, text := range trick.Replace {
				if n := strings.Count(string(base), old); n != 1 {
					t.Fatalf("%q is %d times in the scenario", old, n)
				}
				source = strings.Replace(source, old, text, 1)
			}
			s, err := load.Parse(trick.Name, []byte(source), catalogue.All())
			if trick.Load != "" {
				if got := trick.Name + ":" + trick.Load; err == nil || err.Error() != got {
					e.Errorf("want %s\n got %v", got, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			s.Metadata.ID = trick.Name
			m := b.want("vacuous", run.Options{Scenario: s, Source: []byte(source)})
			b.wait(e, m)
			verdict := concluded(t, m)
			got := string(verdict.Outcome) + ": " + verdict.Reason
			if !regexp.MustCompile("^" + trick.Run).MatchString(got) {
				e.Errorf("want %s\n got %s", trick.Run, got)
			}
			e.says = got
		})
	}
}
