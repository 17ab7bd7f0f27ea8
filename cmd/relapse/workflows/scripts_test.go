package workflows

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

// sandbox is a repository with the scripts, beside a bare one that is its origin.
type sandbox struct {
	t        *testing.T
	dir, out string
	env      []string
}

func newSandbox(t *testing.T) *sandbox {
	s := &sandbox{t: t, dir: filepath.Join(t.TempDir(), "clone")}
	g := NewWithT(t)
	g.Expect(os.CopyFS(filepath.Join(s.dir, ".ci"), os.DirFS(filepath.Join(root, ".ci")))).To(Succeed())
	s.out = filepath.Join(s.dir, "output")
	s.env = append(os.Environ(), "HOME="+t.TempDir(), "GIT_CONFIG_NOSYSTEM=1", "GITHUB_OUTPUT="+s.out, "GH_TOKEN=", "STORE=runs/store", "BRANCH=", "REMOTE=")
	s.must("git", "init", "--quiet", "--bare", "../origin")
	s.must("git", "init", "--quiet")
	s.must("git", "remote", "add", "origin", "../origin")
	return s
}

func (s *sandbox) run(words ...string) (string, error) {
	cmd := exec.CommandContext(s.t.Context(), words[0], words[1:]...)
	cmd.Dir, cmd.Env = s.dir, s.env
	output, err := cmd.CombinedOutput()
	return string(output), err
}

func (s *sandbox) must(words ...string) string {
	s.t.Helper()
	output, err := s.run(words...)
	NewWithT(s.t).Expect(err).NotTo(HaveOccurred(), "%s: %s", strings.Join(words, " "), output)
	return output
}

func (s *sandbox) write(path, text string) {
	path = filepath.Join(s.dir, path)
	NewWithT(s.t).Expect(os.MkdirAll(filepath.Dir(path), 0o755)).To(Succeed())
	NewWithT(s.t).Expect(os.WriteFile(path, []byte(text), 0o755)).To(Succeed())
}

func (s *sandbox) remove(path string) {
	NewWithT(s.t).Expect(os.RemoveAll(filepath.Join(s.dir, path))).To(Succeed())
}

func (s *sandbox) branch() []string {
	return strings.Fields(s.must("git", "-C", "../origin", "ls-tree", "-r", "--name-only", "results"))
}

func TestTheBranchOfResultsOnlyGrows(t *testing.T) {
	g := NewWithT(t)
	s := newSandbox(t)
	s.must(".ci/store", "fetch")
	g.Expect(os.ReadFile(s.out)).To(ContainSubstring("exists=false"), "on the first night there is no branch")
	g.Expect(filepath.Join(s.dir, "runs/store")).NotTo(BeADirectory())

	s.write("runs/store/2026-11/a.zst", "a")
	s.must(".ci/store", "push")
	g.Expect(s.branch()).To(Equal([]string{"2026-11/a.zst"}))
	g.Expect(s.must(".ci/store", "push")).To(ContainSubstring("has all of it"))

	// Somebody who has other files, and lacks those.
	s.remove("runs")
	s.write("runs/store/2026-11/b.zst", "b")
	s.must(".ci/store", "push")
	g.Expect(s.branch()).To(Equal([]string{"2026-11/a.zst", "2026-11/b.zst"}))
	g.Expect(s.must("git", "-C", "../origin", "rev-list", "--count", "results")).To(Equal("2\n"))

	s.remove("runs")
	s.must(".ci/store", "fetch")
	g.Expect(os.ReadFile(s.out)).To(HaveSuffix("exists=true\n"))
	g.Expect(os.ReadFile(filepath.Join(s.dir, "runs/store/2026-11/a.zst"))).To(BeEquivalentTo("a"))
	g.Expect(s.must("git", "status", "--porcelain", "--", ".ci")).To(Equal("?? .ci/\n"), "neither the index nor the files were touched")

	s.must("git", "remote", "set-url", "origin", "../nowhere")
	output, err := s.run(".ci/store", "fetch")
	g.Expect(err).To(HaveOccurred())
	g.Expect(output).To(ContainSubstring("cannot reach origin"), "no answer does not mean that there is no branch")
}

// rival is git, but for the first push: before that, somebody else pushes.
const rival = `#!/bin/sh
case " $* " in *" push "*) if [ ! -e rival.done ]; then
	touch rival.done
	STORE=other PATH=$REAL .ci/store push >&2
fi ;; esac
PATH=$REAL exec git "$@"
`

func TestAPushThatCameTooLateIsDoneAgain(t *testing.T) {
	g := NewWithT(t)
	s := newSandbox(t)
	s.write("runs/store/a", "a")
	s.write("other/b", "b")
	s.write("path/git", rival)
	s.env = append(s.env, "REAL="+os.Getenv("PATH"), "PATH="+filepath.Join(s.dir, "path")+":"+os.Getenv("PATH"))
	g.Expect(s.must(".ci/store", "push")).To(ContainSubstring("try 1 of 3"))
	g.Expect(s.branch()).To(Equal([]string{"a", "b"}))
}

// gh is a stand-in that writes down its arguments. There is an open issue if the file "open" has its number.
const gh = `#!/bin/sh
echo "$*" >>calls
case "$1 $2" in
"issue list") cat open 2>/dev/null ;;
esac
while [ $# != 0 ]; do [ "$1" != --body-file ] || cp "$2" body; shift; done
`

func TestOneIssueIsOpenedUpdatedAndClosed(t *testing.T) {
	for _, c := range []struct {
		name, status, open string
		want               []string
	}{
		{"worse", "1", "", []string{"issue list", "label create nightly", "issue create --title Nightly: something got worse"}},
		{"still worse", "1", "7", []string{"issue list", "issue edit 7 --body-file", "issue comment 7 --body Still worse: https://git.example/o/r/actions/runs/5"}},
		{"well again", "0", "7", []string{"issue list", "issue close 7 --comment"}},
		{"well", "0", "", []string{"issue list"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := NewWithT(t)
			s := newSandbox(t)
			s.write("path/gh", gh)
			s.env = append(s.env, "PATH="+filepath.Join(s.dir, "path")+":"+os.Getenv("PATH"), "GITHUB_SERVER_URL=https://git.example", "GITHUB_REPOSITORY=o/r", "GITHUB_RUN_ID=5")
			s.write("runs/comparison/status", c.status+"\n")
			s.write("runs/comparison/summary.md", strings.Repeat("worse: dns-5s – ü\n", 10000))
			if c.open != "" {
				s.write("open", c.open)
			}
			s.must(".ci/issue")
			calls, err := os.ReadFile(filepath.Join(s.dir, "calls"))
			g.Expect(err).NotTo(HaveOccurred())
			lines := strings.Split(strings.TrimSpace(string(calls)), "\n")
			g.Expect(lines).To(HaveLen(len(c.want)), "%s", calls)
			for i, line := range lines {
				g.Expect(line).To(HavePrefix(c.want[i]))
			}
			if body, err := os.ReadFile(filepath.Join(s.dir, "body")); err == nil {
				g.Expect(len(body)).To(BeNumerically("<", 65536), "GitHub's limit")
				g.Expect(string(body)).To(And(HavePrefix("worse: dns-5s"), ContainSubstring("\nFound by https://git.example/o/r/actions/runs/5. All results: https://o.github.io/r/\n")))
			}
		})
	}
}

func TestAComparisonThatFailedIsNoAllClear(t *testing.T) {
	g := NewWithT(t)
	s := newSandbox(t)
	s.write("path/gh", gh)
	s.env = append(s.env, "PATH="+filepath.Join(s.dir, "path")+":"+os.Getenv("PATH"))
	s.write("runs/comparison/status", "2\n")
	output, err := s.run(".ci/issue")
	g.Expect(err).To(HaveOccurred())
	g.Expect(output).To(ContainSubstring("the comparison failed"))
}

// relapse is a stand-in: there were results in two environments before, and are in those that the file "tonight" lists. What comparing and
// the site say is in files too.
const relapse = `#!/bin/sh
echo "$*" >>calls
case "$1 $2 $3" in
"history list runs/store?since=2026-11-27"*) printf '1 pass a lab/nftables/x\n2 pass a lab/iptables/x\n' ;;
"history list "*) cat tonight ;;
"compare "*) exit "$(cat compared)" ;;
"site "*) mkdir -p runs/site && echo '### what the site says' >runs/site/summary.md; exit "$(cat said)" ;;
esac
`

func TestWhatANightSaysIsKeptForTheIssue(t *testing.T) {
	for _, c := range []struct {
		name, tonight, compared, said, worse string
		status, exit, told                   string
	}{
		{"well", "3 pass a lab/nftables/x\n4 pass a lab/iptables/x\n", "0", "0", "", "0", "0", ""},
		{"worse", "3 fail a lab/nftables/x\n4 pass a lab/iptables/x\n", "1", "1", "", "1", "1", ""},
		{"worse in a workflow", "3 fail a lab/nftables/x\n4 pass a lab/iptables/x\n", "1", "1", "pass", "1", "0", ""},
		{"known", "3 fail a lab/nftables/x\n4 pass a lab/iptables/x\n", "1", "0", "", "0", "0", ""},
		{"a leg is missing", "3 pass a lab/nftables/x\n", "1", "0", "", "1", "1", "**No results this night:** lab/iptables/x\n"},
		{"the site failed", "3 pass a lab/nftables/x\n4 pass a lab/iptables/x\n", "0", "2", "pass", "", "2", ""},
		{"the comparison failed", "3 pass a lab/nftables/x\n4 pass a lab/iptables/x\n", "2", "0", "pass", "", "2", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := NewWithT(t)
			s := newSandbox(t)
			s.write("bin/relapse", relapse)
			for name, text := range map[string]string{"tonight": c.tonight, "compared": c.compared, "said": c.said, "runs/legs/lab/results/x": ""} {
				s.write(name, text)
			}
			s.env = append(s.env, "SINCE=2026-11-30T03:41:00Z", "WORSE="+c.worse, "GITHUB_STEP_SUMMARY=", "GITHUB_REPOSITORY=")
			output, err := s.run("sh", "-c", ".ci/collect; echo exit $?")
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(output).To(HaveSuffix("exit " + c.exit + "\n"))
			if c.status == "" {
				g.Expect(filepath.Join(s.dir, "runs/comparison/status")).NotTo(BeAnExistingFile(), "it is not known")
				return
			}
			g.Expect(os.ReadFile(filepath.Join(s.dir, "runs/comparison/status"))).To(BeEquivalentTo(c.status + "\n"))
			g.Expect(os.ReadFile(filepath.Join(s.dir, "runs/comparison/summary.md"))).To(And(HavePrefix("### what the site says\n"), HaveSuffix(c.told)))
			g.Expect(os.ReadFile(filepath.Join(s.dir, "calls"))).To(ContainSubstring(
				"compare runs/store?since=2026-11-16T03:41:00Z&until=2026-11-30T03:40:59Z runs/store?since=2026-11-30T03:41:00Z "))
		})
	}
}
