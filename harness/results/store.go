package results

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/relapse-k8s/relapse/harness/regular"
)

// MarkFile is the file by which a store is known.
const MarkFile = "relapse-results.json"

// Store is a folder of results. Its files are named by the day on which their runs began and by what is in them:
//
//	relapse-results.json
//	2026-11/2026-11-30-<32 digits of the SHA-256 of the lines>.jsonl.zst
//
// Files are added and never changed, so two stores are merged by putting their files together, and writers need not know of each other.
type Store struct{ dir string }

// mark is what MarkFile holds.
type mark struct {
	Format int    `json:"format"`
	About  string `json:"about"`
}

// Open opens a store.
func Open(dir string) (*Store, error) {
	data, err := regular.ReadIn(dir, MarkFile, regular.MaxJSON)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is not a store of results: it has no %s", dir, MarkFile)
	}
	if err != nil {
		return nil, err
	}
	var m mark
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, MarkFile), err)
	}
	if m.Format != Format {
		return nil, fmt.Errorf("%s: format %d of stores is not known to this relapse, which knows %d", filepath.Join(dir, MarkFile), m.Format, Format)
	}
	return &Store{dir}, nil
}

// IsStore reports whether a folder is a store.
func IsStore(dir string) bool {
	info, err := os.Lstat(filepath.Join(dir, MarkFile))
	return err == nil && info.Mode().IsRegular()
}

// Create opens a store, and makes it if there is none. It makes none in a folder that has other files, so that a mistyped path does no
// harm; files whose names begin with a dot, such as git's, are no hindrance.
func Create(dir string) (*Store, error) {
	if IsStore(dir) {
		return Open(dir)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	folder, err := regular.Open(dir)
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	files, folders, err := folder.Names(regular.MaxFiles)
	if err != nil {
		return nil, err
	}
	for _, name := range append(files, folders...) {
		if !strings.HasPrefix(name, ".") {
			return nil, fmt.Errorf("%s is not a store of results, and not empty: it has %s", dir, name)
		}
	}
	data, err := json.Marshal(mark{Format, "results of relapse runs; see relapse history --help"})
	if err != nil {
		return nil, err
	}
	if err := regular.WriteIn(dir, MarkFile, append(data, '\n')); err != nil {
		return nil, err
	}
	return &Store{dir}, nil
}

// Dir is the store's folder.
func (s *Store) Dir() string { return s.dir }

const (
	dayForm   = "2006-01-02"
	monthForm = "2006-01"
)

var (
	monthName = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}$`)
	fileName  = regexp.MustCompile(`^([0-9]{4}-[0-9]{2}-[0-9]{2})-([0-9a-f]{32})\.jsonl\.zst$`)
)

// segment is a file of a store.
type segment struct {
	// day is 2026-11-30, digest is of the lines, name is the path in the store.
	day, digest, name string
}

// segmentOf is the file that holds these lines of a day.
func segmentOf(day string, lines []byte) segment {
	digest := fmt.Sprintf("%x", sha256.Sum256(lines))[:32]
	return segment{day, digest, filepath.Join(day[:len(monthForm)], day+"-"+digest+".jsonl.zst")}
}

// segments lists the files of the days from since to until, both of which may be zero, by day. Other files are left alone.
func (s *Store) segments(since, until time.Time) ([]segment, error) {
	root, err := regular.Open(s.dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	_, months, err := root.Names(regular.MaxFiles)
	if err != nil {
		return nil, err
	}
	outside := func(name, form string) bool {
		return !since.IsZero() && name < since.UTC().Format(form) || !until.IsZero() && name > until.UTC().Format(form)
	}
	var all []segment
	for _, month := range months {
		if !monthName.MatchString(month) || outside(month, monthForm) {
			continue
		}
		folder, err := root.Folder(month)
		if err != nil {
			return nil, err
		}
		files, _, err := folder.Names(regular.MaxMonth)
		folder.Close()
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			if m := fileName.FindStringSubmatch(file); m != nil && strings.HasPrefix(file, month) && !outside(m[1], dayForm) {
				all = append(all, segment{m[1], m[2], filepath.Join(month, file)})
			}
		}
	}
	return all, nil
}

// write writes a file of the store, whole or not at all.
func (s *Store) write(seg segment, packed []byte) error {
	month := filepath.Dir(seg.name)
	if err := os.Mkdir(filepath.Join(s.dir, month), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	root, err := regular.Open(s.dir)
	if err != nil {
		return err
	}
	defer root.Close()
	folder, err := root.Folder(month) // which is not a link to elsewhere
	if err != nil {
		return err
	}
	defer folder.Close()
	return regular.WriteIn(filepath.Join(s.dir, month), filepath.Base(seg.name), packed)
}
