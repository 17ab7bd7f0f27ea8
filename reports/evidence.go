package reports

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/relapse-k8s/relapse/harness/history"
)

// EvidenceFile is one file of the folder evidence.
type EvidenceFile struct {
	// Name inside the folder.
	Name string
	// Title is the command as typed, or what a capture holds; On is where it ran.
	Title, On string
	// Lane and Phase say when it was taken; empty where the history does not tell.
	Lane, Phase string
	// Size in bytes.
	Size int64
	// Text is the content where that is text, cut where it is very long.
	Text string
	// Raw is the content where it is not text and is small enough to travel inside the report.
	Raw []byte
}

const (
	// textLimit is how much of one command's output a report shows; the file in the folder is always whole.
	textLimit = 64 << 10
	// rawLimit is the largest capture that is put into the report.
	rawLimit = 2 << 20
	// rawTotal is how much of captures a report carries in all: it must still open on a phone and fit into a mail.
	rawTotal = 8 << 20
)

// readEvidence reads the files of a folder: those that the history tells of in its order, then the names of the others. Reading
// goes through os.Root, so that neither a name in a history nor a link in the folder leads out of it.
func readEvidence(dir string, events []history.Event) ([]EvidenceFile, error) {
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer root.Close()
	var files []EvidenceFile
	var errs []error
	known := map[string]bool{}
	for _, e := range events {
		if e.Evidence == nil || known[e.Evidence.File] {
			continue
		}
		known[e.Evidence.File] = true
		files = append(files, EvidenceFile{Name: e.Evidence.File, Title: e.Evidence.Title, On: e.Evidence.On, Lane: e.Lane, Phase: e.Phase})
	}
	kept, total := files[:0], 0
	for _, f := range files {
		if err := f.read(root); err != nil {
			errs = append(errs, err)
			continue
		}
		if total += len(f.Raw); total > rawTotal {
			total -= len(f.Raw)
			f.Raw = nil
		}
		kept = append(kept, f)
	}
	// What the history does not tell of, such as the logs of programs, is listed but not shown.
	err = fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || known[name] || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			kept = append(kept, EvidenceFile{Name: name, Title: name, Size: info.Size()})
		}
		return err
	})
	return kept, errors.Join(append(errs, err)...)
}

func (f *EvidenceFile) read(root *os.Root) error {
	file, err := root.Open(f.Name)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	f.Size = info.Size()
	data, err := io.ReadAll(io.LimitReader(file, rawLimit+1))
	if err != nil {
		return err
	}
	switch {
	case isText(data):
		f.Text = cutText(string(data))
	case len(data) <= rawLimit:
		f.Raw = data
	}
	return nil
}

// isText tells text from captures: valid UTF-8 without NUL. The last character may have been cut by the limit.
func isText(data []byte) bool {
	s := string(data)
	if len(data) > rawLimit {
		s = s[:lastRune(s)]
	}
	return strings.IndexByte(s, 0) < 0 && utf8.ValidString(s)
}

// lastRune is where the last, perhaps cut, character of s begins.
func lastRune(s string) int {
	for i := len(s) - 1; i >= 0 && i >= len(s)-utf8.UTFMax; i-- {
		if utf8.RuneStart(s[i]) {
			return i
		}
	}
	return len(s)
}

// cutText keeps whole lines up to the limit and says how much is missing.
func cutText(s string) string {
	if len(s) <= textLimit {
		return s
	}
	end := strings.LastIndexByte(s[:textLimit], '\n') + 1
	if end == 0 {
		end = lastRune(s[:textLimit])
	}
	return s[:end] + "… the rest is in the run folder\n"
}
