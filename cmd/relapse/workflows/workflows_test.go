// Package workflows tests the files in .github and the scripts that they start.
package workflows

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"go.yaml.in/yaml/v3"
)

const root = "../../.."

// workflow is a workflow's file, or an action's.
type workflow struct {
	Permissions map[string]string
	Jobs        map[string]struct {
		Permissions map[string]string
		Timeout     int `yaml:"timeout-minutes"`
		Steps       []step
	}
	Runs struct{ Steps []step }
}

type step struct {
	Uses, Run, If string
	With          map[string]any
	Env           map[string]string
}

// each calls a function with each workflow and action.
func each(t *testing.T, f func(g Gomega, text string, w workflow)) {
	workflows, err := filepath.Glob(filepath.Join(root, ".github/workflows/*.yml"))
	if err != nil {
		t.Fatal(err)
	}
	actions, err := filepath.Glob(filepath.Join(root, ".github/actions/*/action.yml"))
	if err != nil {
		t.Fatal(err)
	}
	NewWithT(t).Expect(workflows).NotTo(BeEmpty())
	NewWithT(t).Expect(actions).NotTo(BeEmpty())
	for _, path := range append(workflows, actions...) {
		t.Run(filepath.Base(filepath.Dir(path))+"/"+filepath.Base(path), func(t *testing.T) {
			g := NewWithT(t)
			text, err := os.ReadFile(path)
			g.Expect(err).NotTo(HaveOccurred())
			var w workflow
			g.Expect(yaml.Unmarshal(text, &w)).To(Succeed())
			f(g, string(text), w)
		})
	}
}

func (w workflow) steps() []step {
	all := w.Runs.Steps
	for _, job := range w.Jobs {
		all = append(all, job.Steps...)
	}
	return all
}

// makeStep is what a step may run: make with a target, so that the same can be run on any machine.
var makeStep = regexp.MustCompile(`^(?:sudo (?:-E env "PATH=\$PATH" )?)?make (?:--silent )?(?:-C "[^"]+" )?([a-z-]+)(?: [A-Z_]+="[a-z0-9 -]+")*(?: >>"\$GITHUB_OUTPUT")?$`)

func TestEveryStepRunsATargetOfMake(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	targets := strings.Fields(regexp.MustCompile(`(?m)^\.PHONY: (.*)$`).FindStringSubmatch(string(makefile))[1])
	each(t, func(g Gomega, _ string, w workflow) {
		for _, s := range w.steps() {
			if s.Run == "" {
				continue
			}
			match := makeStep.FindStringSubmatch(s.Run)
			g.Expect(match).NotTo(BeNil(), s.Run)
			g.Expect(targets).To(ContainElement(match[1]), s.Run)
		}
	})
}

func TestActionsArePinnedByDigest(t *testing.T) {
	uses := regexp.MustCompile(`(?m)^\s*(?:- )?uses: (.*)$`)
	pinned := regexp.MustCompile(`^[\w-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)
	versions := map[string]string{}
	each(t, func(g Gomega, text string, _ workflow) {
		for _, match := range uses.FindAllStringSubmatch(text, -1) {
			if strings.HasPrefix(match[1], "./") {
				continue
			}
			g.Expect(match[1]).To(MatchRegexp(pinned.String()))
			name, version, _ := strings.Cut(match[1], "@")
			if versions[name] == "" {
				versions[name] = version
			}
			g.Expect(version).To(Equal(versions[name]), "%s is the same everywhere", name)
		}
	})
}

func TestJobsHaveNoMoreRightsThanTheyName(t *testing.T) {
	each(t, func(g Gomega, text string, w workflow) {
		if len(w.Jobs) == 0 { // an action has the rights of its job
			return
		}
		g.Expect(text).To(ContainSubstring("\npermissions: {}\n"))
		for name, job := range w.Jobs {
			g.Expect(job.Permissions).NotTo(BeEmpty(), name)
			g.Expect(job.Timeout).To(BeNumerically(">", 0), "%s has a limit", name)
			for _, s := range job.Steps {
				if strings.HasPrefix(s.Uses, "actions/checkout@") {
					g.Expect(s.With).To(HaveKeyWithValue("persist-credentials", false), "in job %s", name)
				}
			}
		}
	})
}
