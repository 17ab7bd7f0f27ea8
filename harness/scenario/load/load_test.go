package load_test

import (
	"encoding/json"
	"errors"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/cmd/relapse/catalogue"
	"github.com/relapse-k8s/relapse/faults"
	"github.com/relapse-k8s/relapse/harness/scenario"
	"github.com/relapse-k8s/relapse/harness/scenario/load"
)

var update = flag.Bool("update", false, "write the errors of testdata/invalid into its files; read them before you commit")

// The expected errors of an invalid file are its last lines, each after this.
const want = "# want: "

// The expected errors say {changes} for all names of that catalogue, so that they hold when it grows.
var listed, unlisted = func() (to, from *strings.Replacer) {
	cat := catalogue.All()
	var there, back []string
	for placeholder, names := range map[string][]string{
		"{changes}": slices.Sorted(maps.Keys(cat.Changes)), "{probes}": slices.Sorted(maps.Keys(cat.Probes)),
		"{readers}": slices.Sorted(maps.Keys(cat.Readers)), "{offers}": slices.Sorted(maps.Keys(cat.Offers)),
	} {
		there, back = append(there, placeholder, strings.Join(names, ", ")), append(back, strings.Join(names, ", "), placeholder)
	}
	return strings.NewReplacer(there...), strings.NewReplacer(back...)
}()

func TestInvalid(t *testing.T) {
	files, err := filepath.Glob("testdata/invalid/*.yaml")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	NewWithT(t).Expect(len(files)).To(BeNumerically(">=", 45))
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			g := NewWithT(t)
			data, err := os.ReadFile(file)
			g.Expect(err).NotTo(HaveOccurred())
			text, wanted := splitWanted(string(data))
			wanted = listed.Replace(wanted)

			_, err = load.Parse(filepath.Base(file), []byte(text), catalogue.All())
			g.Expect(err).To(HaveOccurred(), "the file is valid")
			g.Expect(errors.As(err, &load.Errors{})).To(BeTrue())
			if *update {
				lines := want + strings.ReplaceAll(unlisted.Replace(err.Error()), "\n", "\n"+want) + "\n"
				g.Expect(os.WriteFile(file, []byte(text+lines), 0o644)).To(Succeed())
				return
			}
			g.Expect(cmp.Diff(wanted, err.Error())).To(BeEmpty(), "(-want +got)")
		})
	}
}

func splitWanted(data string) (text, wanted string) {
	at := strings.Index(data, want)
	if at < 0 {
		return data, ""
	}
	return data[:at], strings.TrimPrefix(strings.TrimSpace(strings.ReplaceAll(data[at:], "\n"+want, "\n")), want)
}

func TestValid(t *testing.T) {
	files, _ := filepath.Glob("testdata/valid/*.yaml")
	NewWithT(t).Expect(files).NotTo(BeEmpty())
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			g := NewWithT(t)
			loaded, err := load.File(file, catalogue.All())
			g.Expect(err).NotTo(HaveOccurred())

			// JSON is YAML: what is printed can be read again, and is the same.
			printed, err := json.Marshal(loaded)
			g.Expect(err).NotTo(HaveOccurred())
			again, err := load.Parse("printed.json", printed, catalogue.All())
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(again).To(Equal(loaded))
		})
	}
}

func TestDefaults(t *testing.T) {
	g := NewWithT(t)
	s, err := load.File("testdata/valid/minimal.yaml", catalogue.All())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(s.Topology.PodNetwork).To(Equal("routes"))
	g.Expect(s.Probes[0].Attempts).To(Equal(20))
	g.Expect(s.Probes[0].Every.Std()).To(Equal(20 * time.Millisecond))
	g.Expect(s.Probes[0].Timeout.Std()).To(Equal(10 * time.Second))
	g.Expect(s.Variants[0].Symptom.Share.String()).To(Equal("at least 100%"))
	g.Expect(s.Variants[0].Fault.Changes[0].ID).To(Equal("sysctl"))
	g.Expect(s.Remedies[0].Changes[0].ID).To(Equal("again"))
}

func TestUnionsAsJSON(t *testing.T) {
	g := NewWithT(t)
	step := scenario.Step{On: "nodes", Use: scenario.Use{Name: "sysctl", Config: &faults.Sysctl{Key: "a.b", Value: "1"}}}
	g.Expect(json.Marshal(step)).To(MatchJSON(`{"on": "nodes", "sysctl": {"key": "a.b", "value": "1"}}`))
	g.Expect(json.Marshal(scenario.Probe{ID: "p", From: "pod/a"})).To(MatchJSON(`{"id": "p", "from": "pod/a"}`))
}

func TestFileName(t *testing.T) {
	g := NewWithT(t)
	data, err := os.ReadFile("testdata/valid/minimal.yaml")
	g.Expect(err).NotTo(HaveOccurred())
	path := filepath.Join(t.TempDir(), "other.yaml")
	g.Expect(os.WriteFile(path, data, 0o644)).To(Succeed())
	_, err = load.File(path, catalogue.All())
	g.Expect(err).To(MatchError(path + `:5:7: metadata.id: the file of scenario "minimal" must be called minimal.yaml, not other.yaml`))

	_, err = load.File(filepath.Join(t.TempDir(), "none.yaml"), catalogue.All())
	g.Expect(err).To(MatchError(os.ErrNotExist))

	s, err := load.FS(os.DirFS("testdata"), "valid/minimal.yaml", catalogue.All())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(s.Metadata.ID).To(Equal("minimal"))
}

func TestDeepNesting(t *testing.T) {
	g := NewWithT(t)
	_, err := load.Parse("deep.yaml", []byte("a: "+strings.Repeat("[", 9000)+strings.Repeat("]", 9000)), catalogue.All())
	g.Expect(err).To(MatchError("deep.yaml:1:53: nested more than 50 deep"))
}

func TestStarter(t *testing.T) {
	g := NewWithT(t)
	text := scenario.Starter("other-failure")
	g.Expect(string(text)).To(HavePrefix("# yaml-language-server: $schema=" + scenario.SchemaURL + "\n"))
	s, err := load.Parse("other-failure.yaml", text, catalogue.All())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(s.Metadata.ID).To(Equal("other-failure"))
}

func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/valid/*.yaml", "testdata/invalid/*.yaml"} {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			data, _ := os.ReadFile(file)
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := load.Parse("fuzz.yaml", data, catalogue.All())
		if (s == nil) == (err == nil) {
			t.Fatalf("either a scenario or an error: %v, %v", s, err)
		}
		if err != nil {
			return
		}
		printed, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := load.Parse("printed.json", printed, catalogue.All()); err != nil {
			t.Fatalf("%s\n%s", err, printed)
		}
	})
}
