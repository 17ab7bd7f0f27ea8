package crashsafe_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/agent/crashsafe"
)

func TestMakeAndRemove(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	folder := filepath.Join(dir, "one")
	names := func() (all []string) {
		entries, err := os.ReadDir(dir)
		g.Expect(err).NotTo(HaveOccurred())
		for _, e := range entries {
			all = append(all, e.Name())
		}
		return all
	}
	fill := func(unfinished string) error {
		g.Expect(names()).To(Equal([]string{".new-one"}), "it does not have its name yet")
		return os.WriteFile(filepath.Join(unfinished, "file"), nil, 0o600)
	}
	g.Expect(crashsafe.Make(folder, func(unfinished string) error {
		return errors.Join(fill(unfinished), errors.New("no room"))
	})).To(MatchError("no room"))
	g.Expect(names()).To(BeEmpty())
	g.Expect(crashsafe.Make(folder, fill)).To(Succeed())
	g.Expect(filepath.Join(folder, "file")).To(BeARegularFile())
	g.Expect(crashsafe.Make(folder, func(unfinished string) error {
		return os.WriteFile(filepath.Join(unfinished, "other"), nil, 0o600)
	})).To(MatchError(os.ErrExist), "a folder is not replaced")
	g.Expect(names()).To(Equal([]string{"one"}))
	g.Expect(crashsafe.Remove(folder)).To(Succeed())
	g.Expect(crashsafe.Remove(folder)).To(Succeed(), "it is gone already")
	g.Expect(names()).To(BeEmpty())
}

func TestHalf(t *testing.T) {
	for name, folder := range map[string]string{".new-one": "one", ".gone-one": "one", "one": "", "clean.lock": ""} {
		g := NewWithT(t)
		got, half := crashsafe.Half(name)
		g.Expect(half).To(Equal(folder != ""), name)
		if half {
			g.Expect(got).To(Equal(folder))
		}
	}
}
