package undo

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
)

func sysctlRecord(key string) Record { return Record{Sysctl: &Sysctl{Key: key, Value: "1"}} }

func TestJournal(t *testing.T) {
	g := NewWithT(t)
	path := filepath.Join(t.TempDir(), "journal.jsonl")
	pendingKeys := func() (keys []string) {
		pending, err := Pending(path)
		g.Expect(err).NotTo(HaveOccurred())
		for _, e := range pending {
			keys = append(keys, e.Change+" "+e.Undo.Sysctl.Key)
		}
		return keys
	}
	g.Expect(pendingKeys()).To(BeEmpty(), "there is no file yet")
	journal, err := OpenJournal(path)
	g.Expect(err).NotTo(HaveOccurred())
	stack := Stack{Journal: journal}
	a, b := stack.Begin("a"), stack.Begin("b")
	g.Expect(a.Push(sysctlRecord("net.none.1"))).To(Succeed())
	g.Expect(b.Push(sysctlRecord("net.none.2"), sysctlRecord("net.none.3"))).To(Succeed())
	g.Expect(a.Push(sysctlRecord("net.none.4"))).To(Succeed())
	g.Expect(b.Undo(t.Context())).To(Succeed())
	g.Expect(pendingKeys()).To(Equal([]string{"a net.none.1", "a net.none.4"}))
	g.Expect(journal.Close()).To(Succeed())

	// A torn last line was never acted upon; what is written after it must be readable.
	whole, err := os.ReadFile(path)
	g.Expect(err).NotTo(HaveOccurred())
	for _, torn := range []string{`{`, `{"id":9,"change":"c","undo":{"sysctl":{"key":"net.none.9","value":"1"}}}`, "\x00\x00\x00\n", "{\"do\n"} {
		g.Expect(os.WriteFile(path, append(append([]byte{}, whole...), torn...), 0o600)).To(Succeed())
		g.Expect(pendingKeys()).To(Equal([]string{"a net.none.1", "a net.none.4"}), torn)
		journal, err = OpenJournal(path)
		g.Expect(err).NotTo(HaveOccurred())
		stack := Stack{Journal: journal}
		g.Expect(stack.Begin("d").Push(sysctlRecord("net.none.5"))).To(Succeed())
		g.Expect(journal.Close()).To(Succeed())
		g.Expect(pendingKeys()).To(Equal([]string{"a net.none.1", "a net.none.4", "d net.none.5"}), torn)
	}

	var order []uint64
	left, err := UndoPending(t.Context(), path, func(e Entry, err error) {
		g.Expect(err).NotTo(HaveOccurred())
		order = append(order, e.ID)
	})
	g.Expect(left, err).To(BeEmpty())
	g.Expect(order).To(Equal([]uint64{5, 4, 1}), "ids go on where the last process stopped")
	g.Expect(pendingKeys()).To(BeEmpty())
}

func TestJournalThatIsDamaged(t *testing.T) {
	g := NewWithT(t)
	path := filepath.Join(t.TempDir(), "journal.jsonl")
	text := `{"id":1,"change":"a","undo":{"sysctl":{"key":"net.none.1","value":"1"}}}
{"id":2,"change":"a","undo":{"quantum":{}}}
{"id":3,"change":"a","undo":{"sysctl":{"key":"net.none.3","value":"1"}}}
`
	g.Expect(os.WriteFile(path, []byte(text), 0o600)).To(Succeed())
	pending, err := Pending(path)
	g.Expect(err).To(MatchError(And(ContainSubstring(path+":2:"), ContainSubstring("quantum"))), "a kind from another version")
	g.Expect(pending).To(HaveLen(2))
	_, err = OpenJournal(path)
	g.Expect(err).To(HaveOccurred())
	said := 0
	_, err = UndoPending(t.Context(), path, func(Entry, error) { said++ })
	g.Expect(err).To(MatchError(ContainSubstring("quantum")), "it stays an error")
	g.Expect(said).To(Equal(2), "and the others are undone all the same")
}
