package fingerprint

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/relapse-k8s/relapse/clusters/agent/procs"
	"github.com/relapse-k8s/relapse/clusters/agent/runstate"
	"github.com/relapse-k8s/relapse/clusters/agent/undo"
)

// Host is what a run has on the machine outside network namespaces. It never contains things of another run.
type Host struct {
	// Processes of the run, without the calling process.
	Processes []string `json:"processes"`
	// Namespaces of the run: those its processes live in (other than the host's), and entries of /run/netns.
	Namespaces []string `json:"namespaces"`
	// Files in the run's state folder.
	Files []string `json:"files"`
}

func takeHost(opts Options) (*Host, error) {
	host := &Host{Processes: []string{}, Namespaces: []string{}, Files: []string{}}
	own, err := procs.Netns(0)
	if err != nil {
		return nil, err
	}
	found, err := runstate.Processes(opts.Run)
	if err != nil {
		return nil, err
	}
	seen := map[uint64]bool{own: true}
	for _, p := range found {
		host.Processes = append(host.Processes, p.String())
		// A process that has ended meanwhile has no namespace.
		if netns, err := procs.Netns(p.PID); err == nil && !seen[netns] {
			seen[netns] = true
			host.Namespaces = append(host.Namespaces, fmt.Sprintf("net:[%d]", netns))
		}
	}
	entries, err := os.ReadDir("/run/netns")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	for _, entry := range entries {
		if ours(opts.Run, entry.Name()) {
			host.Namespaces = append(host.Namespaces, filepath.Join("/run/netns", entry.Name()))
		}
	}
	if host.Files, err = listFiles(opts); err != nil {
		return nil, err
	}
	slices.Sort(host.Namespaces)
	return host, nil
}

func listFiles(opts Options) ([]string, error) {
	files := []string{}
	if opts.StateDir == "" || opts.Run == "" {
		return files, nil
	}
	root := filepath.Join(opts.StateDir, opts.Run)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return err
	})
	return files, err
}

var (
	runID = regexp.MustCompile(`[0-9]{8}-[0-9]{6}-[0-9a-f]{4}`)
	runNo = regexp.MustCompile(`^` + undo.Prefix + `([0-9a-f]{4})`)
)

// fencePrefix starts the names of the tables of clusters/kind/provision.
const fencePrefix = undo.Prefix + "_fence_"

// ours says whether a name, with a link's alias, belongs to relapse and not to another run. A name without a run's id counts as ours: a
// leftover should rather be reported twice than never.
func ours(run string, name string, alias ...string) bool {
	text := name + " " + strings.Join(alias, " ")
	if id := runID.FindString(text); id != "" {
		return id == run
	}
	// A fence belongs to a kind cluster, which outlives a run on it and has its own guard.
	if !strings.HasPrefix(name, undo.Prefix) || strings.HasPrefix(name, fencePrefix) {
		return false
	}
	if match := runNo.FindStringSubmatch(name); match != nil && run != "" {
		return runstate.ObjectPrefix(run) == match[0]
	}
	return true
}
