package reports

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/regular"
)

// EvidenceFile is one file of the folder evidence.
type EvidenceFile struct {
	// Name inside the folder.
	Name string
	// Title is the command as typed, or what a capture holds; On is where it ran.
	Title, On string
	// Lane and Phase say when it was taken; empty if the history does not tell.
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
	// textTotal is how much of all outputs a report shows.
	textTotal = 16 << 20
	// rawLimit is the largest capture that is put into the report.
	rawLimit = 2 << 20
	// rawTotal is how much of captures a report carries in all: it must still open on a phone and fit into a mail.
	rawTotal = 8 << 20
)

// readEvidence reads the files of the folder evidence: those that the history tells of in its order, then the names of the others. A file
// that cannot be read is left out, and an error says why.
func readEvidence(folder *regular.Folder, events []history.Event) (files []EvidenceFile, errs []error) {
	known := map[string]bool{}
	texts, raws := 0, 0
	for _, e := range events {
		if e.Evidence == nil || known[e.Evidence.File] {
			continue
		}
		if len(known) == regular.MaxFiles {
			errs = slices.Insert(errs, 0, fmt.Errorf("the history tells of more than %d files", regular.MaxFiles))
			break
		}
		known[e.Evidence.File] = true
		f := EvidenceFile{Name: e.Evidence.File, Title: e.Evidence.Title, On: e.Evidence.On, Lane: e.Lane, Phase: e.Phase}
		if err := f.read(folder); err != nil {
			errs = append(errs, err)
			continue
		}
		if texts += len(f.Text); texts > textTotal {
			texts -= len(f.Text)
			f.Text = "… is in the run folder\n"
		}
		if raws += len(f.Raw); raws > rawTotal {
			raws -= len(f.Raw)
			f.Raw = nil
		}
		files = append(files, f)
	}
	// What the history does not tell of, such as the logs of programs, is listed but not shown.
	others, err := folder.List(regular.MaxFiles)
	for _, other := range others {
		if !known[other.Name] {
			files = append(files, EvidenceFile{Name: other.Name, Title: other.Name, Size: other.Size})
		}
	}
	if err != nil {
		errs = append(errs, err)
	}
	return files, errs
}

func (f *EvidenceFile) read(folder *regular.Folder) error {
	file, err := folder.Open(f.Name)
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
