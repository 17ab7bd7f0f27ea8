package undo

import (
	"context"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/agent/undo/nstest"
)

// TestSameSettingOutOfOrder: two changes of one setting, the earlier of which is undone while the later stays.
func TestSameSettingOutOfOrder(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	g := NewWithT(t)
	const key = "net.ipv4.tcp_syn_retries"
	path := filepath.Join(t.TempDir(), "journal.jsonl")
	journal, err := OpenJournal(path)
	g.Expect(err).NotTo(HaveOccurred())
	before, err := ReadSysctl(key)
	g.Expect(err).NotTo(HaveOccurred())
	for _, how := range []func(s *Stack, last *Scope) error{
		func(_ *Stack, last *Scope) error { return last.Undo(context.Background()) },
		func(s *Stack, _ *Scope) error { return s.Close(context.Background()) },
		func(*Stack, *Scope) error { // another process does it
			_, err := UndoPending(context.Background(), path, nil)
			return err
		},
	} {
		stack := &Stack{Journal: journal}
		fault, remedy, third := stack.Begin("fault"), stack.Begin("remedy"), stack.Begin("third")
		g.Expect(fault.SetSysctl(key, "2")).To(Succeed())
		g.Expect(remedy.SetSysctl(key, "3")).To(Succeed())
		g.Expect(third.SetSysctl(key, "4")).To(Succeed())
		g.Expect(remedy.Undo(t.Context())).To(Succeed())
		g.Expect(ReadSysctl(key)).To(Equal("4"), "the later change is still in effect")
		g.Expect(fault.Undo(t.Context())).To(Succeed())
		g.Expect(ReadSysctl(key)).To(Equal("4"))
		pending, err := Pending(path)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(pending).To(HaveLen(1))
		g.Expect(pending[0].Change).To(Equal("third"))
		g.Expect(how(stack, third)).To(Succeed())
		g.Expect(ReadSysctl(key)).To(Equal(before))
		pending, err = Pending(path)
		g.Expect(pending, err).To(BeEmpty())
	}
	g.Expect(journal.Close()).To(Succeed())
}

// TestRemedyWithdrawn: the later change is undone, and the earlier one's value is back.
func TestRemedyWithdrawn(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	g := NewWithT(t)
	const key = "net.ipv4.tcp_syn_retries"
	var stack Stack
	fault, remedy := stack.Begin("fault"), stack.Begin("remedy")
	g.Expect(fault.SetSysctl(key, "2")).To(Succeed())
	g.Expect(remedy.SetSysctl(key, "3")).To(Succeed())
	g.Expect(remedy.Undo(t.Context())).To(Succeed())
	g.Expect(ReadSysctl(key)).To(Equal("2"))
	g.Expect(stack.UndoAll(t.Context())).To(Succeed())
	g.Expect(ReadSysctl(key)).To(Equal("6"))
}
