package history_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/regular"
)

// A program of a scenario chooses what is logged. A run ends before its history is one that cannot be read again.
func TestWhatIsWrittenCanBeRead(t *testing.T) {
	for name, test := range map[string]struct {
		event history.Event
		want  string
	}{
		"a long event": {history.Event{Kind: history.KindNote, Text: strings.Repeat("x", regular.MaxLine)}, "an event of kind note has more than 1048576 bytes"},
		"many items": {
			history.Event{Kind: history.KindFingerprint, Fingerprint: &history.Fingerprint{Differences: make([]string, 100_000)}},
			"there are more than 500000 events and items of their lists",
		},
		"many bytes": {history.Event{Kind: history.KindNote, Text: strings.Repeat("x", regular.MaxLine/2)}, "it has reached its limit of 134217728 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			path := filepath.Join(t.TempDir(), "history.jsonl")
			file, err := os.Create(path)
			g.Expect(err).NotTo(HaveOccurred())
			var failed error
			w := history.NewWriter(file, time.Now(), nil, func(err error) { failed = err })
			for range 300 {
				w.Add(test.event)
			}
			g.Expect(failed).To(MatchError(ContainSubstring(test.want)))
			g.Expect(w.Close()).To(MatchError(failed))
			g.Expect(history.AppendError(path, failed)).To(Succeed(), "it can be read, and says why it ends")
			events, err := history.Read(path)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(events[len(events)-1].Text).To(ContainSubstring(test.want))
		})
	}
}
