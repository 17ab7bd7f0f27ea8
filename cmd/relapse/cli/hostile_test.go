package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/cmd/relapse/cli"
)

// secret is in a file outside of the run folder, which nothing may show or change.
const secret = "a line that is not in the run folder"

// spoiling makes something of a path in a run folder; outside is the file with the secret.
type spoiling func(path, outside string) error

// specials are things in place of a file, and what is said of them.
var specials = map[string]struct {
	make spoiling
	want string
}{
	"link":             {func(path, outside string) error { return os.Symlink(outside, path) }, "a symbolic link, not a regular file"},
	"link to a device": {func(path, _ string) error { return os.Symlink("/dev/zero", path) }, "a symbolic link, not a regular file"},
	"link to itself":   {func(path, _ string) error { return os.Symlink(filepath.Base(path), path) }, "a symbolic link, not a regular file"},
	"pipe":             {func(path, _ string) error { return syscall.Mkfifo(path, 0o600) }, "a named pipe, not a regular file"},
	"folder":           {func(path, _ string) error { return os.Mkdir(path, 0o755) }, "a folder, not a regular file"},
	"socket":           {socket, "a socket, not a regular file"},
	"device":           {func(path, _ string) error { return syscall.Mknod(path, syscall.S_IFCHR|0o600, 1<<8|5) }, "a device, not a regular file"},
	"file without end": {sparse, "the file has more than "},
}

func socket(path, _ string) error {
	// The path of a socket is short, that of a test's folder may not be.
	short, err := os.MkdirTemp("", "s")
	if err != nil {
		return err
	}
	defer os.RemoveAll(short)
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(short, "s")})
	if err != nil {
		return err
	}
	listener.SetUnlinkOnClose(false)
	defer listener.Close()
	return os.Rename(filepath.Join(short, "s"), path)
}

// sparse makes a file of 1 TiB that takes no space.
func sparse(path, _ string) error {
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return err
	}
	return os.Truncate(path, 1<<40)
}

// hostile is a copy of a recorded run, and a file outside of it.
type hostile struct{ dir, outside string }

func newHostile(t *testing.T) hostile {
	t.Helper()
	g := NewWithT(t)
	top := t.TempDir()
	h := hostile{dir: filepath.Join(top, "run"), outside: filepath.Join(top, "outside")}
	g.Expect(os.CopyFS(h.dir, os.DirFS("testdata/run"))).To(Succeed())
	g.Expect(os.WriteFile(h.outside, []byte(secret+"\n"), 0o600)).To(Succeed())
	return h
}

func (h hostile) path(name string) string { return filepath.Join(h.dir, name) }

// commands are all that read a run folder; those that write into it come last.
func (h hostile) commands() [][]string {
	return [][]string{{"judge", h.dir}, {"agree", h.dir, "testdata/run"}, {"agree", "testdata/run", h.dir}, {"report", h.dir}, {"judge", "--write", h.dir}}
}

// call runs a command and returns all that it printed. It fails if the command does not end, or shows or changes what is outside.
func (h hostile) call(t *testing.T, args ...string) string {
	t.Helper()
	g := NewWithT(t)
	var out bytes.Buffer
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		cli.Main(args, strings.NewReader(""), &out, &out)
	}()
	select {
	case <-ended:
	case <-time.After(2 * time.Minute):
		t.Fatalf("relapse %v does not end", args)
	}
	shown := out.String()
	for _, name := range []string{"report.html", "junit.xml", "verdict.json", "agreement.json"} {
		if info, err := os.Lstat(h.path(name)); err == nil && info.Mode().IsRegular() && info.Size() < 1<<30 {
			text, err := os.ReadFile(h.path(name))
			g.Expect(err).NotTo(HaveOccurred())
			shown += string(text)
		}
	}
	g.Expect(strings.Contains(shown, secret)).To(BeFalse(), "%v shows what is outside", args)
	g.Expect(os.ReadFile(h.outside)).To(BeEquivalentTo(secret+"\n"), "%v changed what is outside", args)
	return shown
}

// TestHostileFiles puts something else in place of each file of a run folder.
func TestHostileFiles(t *testing.T) {
	for _, name := range []string{"run.json", "scenario.yaml", "history.jsonl", "verdict.json", "agreement.json", "suite.json"} {
		for kind, special := range specials {
			t.Run(name+" is a "+kind, func(t *testing.T) {
				g := NewWithT(t)
				h := newHostile(t)
				g.Expect(os.RemoveAll(h.path(name))).To(Succeed())
				if name == "suite.json" {
					g.Expect(os.Remove(h.path("run.json"))).To(Succeed())
				}
				if err := special.make(h.path(name), h.outside); err != nil {
					t.Skip(err) // an ordinary user makes no devices
				}
				said := ""
				for _, command := range h.commands() {
					said += h.call(t, command...)
				}
				if kind == "file without end" && name == "history.jsonl" {
					special.want = "history.jsonl:1: the line has more than"
				}
				g.Expect(said).To(ContainSubstring(name))
				g.Expect(said).To(ContainSubstring(special.want))
			})
		}
	}
}

// TestHostileEvidence: what the folder evidence holds is shown only if it is a file in it.
func TestHostileEvidence(t *testing.T) {
	for name, test := range map[string]struct {
		make func(h hostile) error
		file string // that the history tells of
		want string
	}{
		"link out":        {func(h hostile) error { return os.Symlink(h.outside, h.path("evidence/x")) }, "x", "evidence/x: a symbolic link"},
		"link in":         {func(h hostile) error { return os.Symlink("../run.json", h.path("evidence/x")) }, "x", "evidence/x: a symbolic link"},
		"linked folder":   {func(h hostile) error { return os.Symlink(filepath.Dir(h.outside), h.path("evidence/y")) }, "y/outside", "evidence/y/outside: path escapes from parent"},
		"pipe":            {func(h hostile) error { return syscall.Mkfifo(h.path("evidence/x"), 0o600) }, "x", "evidence/x: a named pipe"},
		"name that leads": {func(hostile) error { return nil }, "../../outside", "path escapes from parent"},
		"root":            {func(hostile) error { return nil }, "/etc/passwd", "path escapes from parent"},
		"long name":       {func(hostile) error { return nil }, strings.Repeat("x", 5000), "file name too long"},
		"all is elsewhere": {func(h hostile) error {
			if err := os.RemoveAll(h.path("evidence")); err != nil {
				return err
			}
			return os.Symlink(filepath.Dir(h.outside), h.path("evidence"))
		}, "outside", "evidence: not a folder"},
		"very many files": {func(h hostile) error {
			for i := range 5001 {
				if err := os.WriteFile(fmt.Sprintf("%s/%d", h.path("evidence"), i), nil, 0o600); err != nil {
					return err
				}
			}
			return nil
		}, "1", "evidence: more than 5000 files"},
		"very deep": {func(h hostile) error { return os.MkdirAll(h.path("evidence"+strings.Repeat("/d", 1000)), 0o755) }, "d", "nested more than 8 deep"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			h := newHostile(t)
			g.Expect(os.MkdirAll(h.path("evidence"), 0o755)).To(Succeed())
			g.Expect(test.make(h)).To(Succeed())
			g.Expect(os.Truncate(h.path("history.jsonl"), 0)).To(Succeed()) // the recorded run's evidence was not kept
			h.add(t, fmt.Sprintf(`{"t":1,"kind":"evidence","evidence":{"title":"x","on":"node/node-1","file":%q}}`, test.file))
			said := ""
			for _, command := range h.commands() {
				said += h.call(t, command...)
			}
			g.Expect(said).To(ContainSubstring(test.want))
		})
	}
}

// add appends lines to the history.
func (h hostile) add(t *testing.T, lines ...string) {
	t.Helper()
	g := NewWithT(t)
	file, err := os.OpenFile(h.path("history.jsonl"), os.O_APPEND|os.O_WRONLY, 0)
	g.Expect(err).NotTo(HaveOccurred())
	_, err = file.WriteString(strings.Join(lines, "\n") + "\n")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(file.Close()).To(Succeed())
}

// TestWritingIntoAHostileFolder: links are replaced and not followed, and what cannot be replaced is an error.
func TestWritingIntoAHostileFolder(t *testing.T) {
	for _, name := range []string{"report.html", "junit.xml", "verdict.json"} {
		for _, suffix := range []string{"", ".new"} {
			for kind, special := range specials {
				if name+suffix == "verdict.json" {
					continue // it is read first, and refused
				}
				t.Run(name+suffix+" is a "+kind, func(t *testing.T) {
					g := NewWithT(t)
					h := newHostile(t)
					g.Expect(os.RemoveAll(h.path(name + suffix))).To(Succeed())
					if err := special.make(h.path(name+suffix), h.outside); err != nil {
						t.Skip(err)
					}
					said := h.call(t, "judge", "--write", h.dir)
					info, err := os.Lstat(h.path(name))
					g.Expect(err).NotTo(HaveOccurred())
					if kind == "folder" && suffix == "" {
						g.Expect(info.IsDir()).To(BeTrue())
						g.Expect(said).To(ContainSubstring(name))
						return
					}
					g.Expect(info.Mode().IsRegular()).To(BeTrue(), said)
					g.Expect(info.Size()).To(And(BeNumerically(">", 100), BeNumerically("<", 1<<30)))
				})
			}
		}
	}
}

// TestHostileContent: files that are valid and large, or deep, take a bounded time and memory, in a process of their own.
func TestHostileContent(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a minute")
	}
	const most = 1 << 20 // KiB
	for name, test := range map[string]struct {
		file string
		// head, unit and tail are its text: units are repeated until the text has so many bytes. %d counts them.
		head, unit, tail string
		bytes            int
		want             string
	}{
		"many events":            {"history.jsonl", "", "{}\n", "", 4 << 20, "there are more than 500000 events and items"},
		"many flows in an event": {"history.jsonl", "", `{"kind":"met","lane":"native/main","phase":"fault","met":{"id":"a","on":"b","flows":[{}` + strings.Repeat(",{}", 300000) + "]}}\n", "", 32 << 20, "there are more than 500000 events and items"},
		"many numbers":           {"history.jsonl", "", `{"kind":"reading","lane":"default/main","phase":"fault","reading":{"reader":"conntrack","on":"b","values":{"%d":1}}}` + "\n", "", 1 << 20, "there are more than 3000 phases"},
		"many lanes":             {"history.jsonl", "", `{"kind":"phase-begin","lane":"default/%d","phase":"fault"}` + "\n", "", 1 << 20, "there are more than 3000 phases"},
		"many phases":            {"history.jsonl", "", `{"kind":"phase-begin","lane":"native/main","phase":"fault","t":%d}` + "\n", "", 1 << 20, "there are more than 3000 phases"},
		"many samples":           {"history.jsonl", `{"kind":"phase-begin","lane":"native/main","phase":"fault","t":1}` + "\n", `{"kind":"sample","lane":"native/main","phase":"fault","sample":{"probe":"lookup","start":%d,"took":1}}` + "\n", "", 8 << 20, ""},
		"many logs":              {"history.jsonl", "", `{"kind":"log","lane":"native/main","phase":"fault","log":{"source":"a","event":"b","line":"%d"}}` + "\n", "", 8 << 20, ""},
		"a long line":            {"history.jsonl", `{"text":"`, "x", `"}` + "\n", 2 << 20, "history.jsonl:1: the line has more than 1048576 bytes"},
		"deep JSON":              {"history.jsonl", "", `{"a":`, "\n", 1 << 19, "history.jsonl:1: "},
		"deep verdict":           {"verdict.json", "", "[", "\n", 1 << 19, "verdict"},
		"many verdicts":          {"verdict.json", `{"variants":[{"name":"native","phases":[{"name":"0"}`, `,{"name":"%d"}`, `]}]}`, 4 << 20, "it has more than 3000 phases"},
		"many variants":          {"verdict.json", `{"variants":[{"name":"native"}`, `,{"name":"%d"}`, `]}`, 4 << 20, "it has more than 100 variants"},
		"many claims":            {"verdict.json", `{"claims":[{"id":"0"}`, `,{"id":"%d"}`, `]}`, 4 << 20, ""},
		"many networks":          {"run.json", `{"id":"a","scenario":"dns-5s","netns":{"a":1`, `,"%d":1`, `}}`, 4 << 20, ""},
		"many files announced":   {"history.jsonl", "", `{"kind":"evidence","evidence":{"title":"x","file":"%d"}}` + "\n", "", 4 << 20, "more than 5000 files"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			h := newHostile(t)
			g.Expect(os.Mkdir(h.path("evidence"), 0o755)).To(Succeed())
			var text bytes.Buffer
			text.WriteString(test.head)
			for i := 0; text.Len() < test.bytes; i++ {
				if strings.Contains(test.unit, "%d") {
					fmt.Fprintf(&text, test.unit, i)
				} else {
					text.WriteString(test.unit)
				}
			}
			text.WriteString(test.tail)
			g.Expect(os.WriteFile(h.path(test.file), text.Bytes(), 0o600)).To(Succeed())
			relapse := filepath.Join(t.TempDir(), "relapse")
			self, err := os.Executable()
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(os.Symlink(self, relapse)).To(Succeed())
			said := ""
			for _, args := range h.commands() {
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
				command := exec.CommandContext(ctx, relapse, args...)
				out, err := command.CombinedOutput()
				g.Expect(ctx.Err()).NotTo(HaveOccurred(), "%v does not end", args)
				cancel()
				if command.ProcessState == nil {
					t.Fatal(err)
				}
				usage := command.ProcessState.SysUsage().(*syscall.Rusage)
				g.Expect(usage.Maxrss).To(BeNumerically("<", most), "%v: KiB", args)
				g.Expect(string(out)).NotTo(ContainSubstring("goroutine "), "%v", args)
				said += string(out[:min(len(out), 1<<20)])
				t.Logf("%s: %s, %d MiB", args[0], command.ProcessState.UserTime().Round(time.Millisecond), usage.Maxrss>>10)
			}
			if page, err := os.ReadFile(h.path("report.html")); err == nil {
				said += string(page)
			}
			g.Expect(strings.Contains(said, test.want)).To(BeTrue(), test.want)
		})
	}
}
