package website

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	. "github.com/onsi/gomega"
)

// browserTime is far more than all pages of a test take on a busy machine.
const browserTime = 4 * time.Minute

// browser starts Chromium, or skips the test if there is none.
func browser(t *testing.T) context.Context {
	t.Helper()
	var program string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			program = path
			break
		}
	}
	if program == "" {
		t.Skip("Chromium is not installed (on Debian: apt-get install chromium)")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.UserDataDir(t.TempDir()))
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium has no sandbox for root
	}
	ctx, cancel := context.WithTimeout(context.Background(), browserTime)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	NewWithT(t).Expect(chromedp.Do(ctx)).To(Succeed())
	return ctx
}

// axe is the script of axe-core, or empty if it was not fetched: make bin/tools/axe.min.js.
func axe(t *testing.T) string {
	t.Helper()
	bin := os.Getenv("RELAPSE_BIN")
	if bin == "" {
		bin = "../../bin"
	}
	script, err := os.ReadFile(filepath.Join(bin, "tools", "axe.min.js"))
	if err != nil {
		t.Logf("accessibility is not checked, axe-core is missing (make bin/tools/axe.min.js): %v", err)
	}
	return string(script)
}

// visit opens a page and returns what is wrong with it: messages on the console, requests, what axe-core finds.
func visit(t *testing.T, ctx context.Context, file, axe string, dark bool, width int64) []string {
	t.Helper()
	address := (&url.URL{Scheme: "file", Path: file}).String()
	var lock sync.Mutex
	var wrong []string
	complain := func(format string, a ...any) {
		lock.Lock()
		defer lock.Unlock()
		wrong = append(wrong, fmt.Sprintf(format, a...))
	}
	ctx, cancel := chromedp.NewContext(ctx) // a tab of its own, so that events are of this page
	defer cancel()
	if err := open(ctx, address, dark, width, func(event any) {
		switch e := event.(type) {
		case *network.EventRequestWillBeSent:
			if e.Request.URL != address && e.Request.URL != "data:," {
				complain("it asks for %s", e.Request.URL)
			}
		case *runtime.EventConsoleAPICalled:
			complain("console.%s", e.Type)
		case *runtime.EventExceptionThrown:
			complain("exception: %s", e.ExceptionDetails.Text)
		case *log.EventEntryAdded:
			complain("%s: %s", e.Entry.Level, e.Entry.Text)
		}
	}); err != nil {
		complain("%v", err)
	}
	if wide, err := chromedp.Run(ctx, chromedp.Evaluate[int64]("document.documentElement.scrollWidth")); err != nil || wide > width {
		complain("it is %d pixels wide in a window of %d (%v)", wide, width, err)
	}
	if axe != "" {
		violations, err := chromedp.Run(ctx, chromedp.Evaluate[[]string](axe+`;axe.run().then(r => r.violations.map(
			v => v.id + ": " + v.help + ": " + v.nodes.slice(0, 3).map(n => n.html).join(" | ")))`, chromedp.EvalAwaitPromise))
		if err != nil {
			complain("axe-core: %v", err)
		}
		for _, v := range violations {
			complain("axe-core: %s", v)
		}
	}
	lock.Lock()
	defer lock.Unlock()
	return wrong
}

// open opens a page in a tab, and has its events told from the start.
func open(ctx context.Context, address string, dark bool, width int64, tell func(any)) error {
	if err := chromedp.Do(ctx); err != nil {
		return err
	}
	if err := chromedp.Listen(ctx, tell); err != nil {
		return err
	}
	scheme := map[bool]string{false: "light", true: "dark"}[dark]
	_, netErr := chromedp.Call(ctx, network.Enable, network.EnableParams{})
	_, logErr := chromedp.Call(ctx, log.Enable, cdp.Empty{})
	_, runErr := chromedp.Call(ctx, runtime.Enable, cdp.Empty{})
	_, mediaErr := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
	if err := errors.Join(netErr, logErr, runErr, mediaErr); err != nil {
		return err
	}
	return chromedp.Do(ctx, chromedp.EmulateViewport(width, 900), chromedp.Navigate(address))
}

// kindsOfPages lists the first page of each kind.
func kindsOfPages(t *testing.T, dir string) []string {
	t.Helper()
	var list []string
	seen := map[string]bool{}
	NewWithT(t).Expect(filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, path)
		kind, _, _ := strings.Cut(rel, "/")
		if err == nil && strings.HasSuffix(path, ".html") && !seen[kind] {
			seen[kind] = true
			list = append(list, path)
		}
		return err
	})).To(Succeed())
	return list
}

func TestPagesInABrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("it needs a browser")
	}
	site := brokenSite()
	dir, _ := write(t, site)
	broken := filepath.Join(dir, auditFile("scenario-03", "lab/iptables/linux-6.18"))
	script := axe(t)
	ctx := browser(t)
	for _, page := range append(kindsOfPages(t, dir), broken) {
		for _, width := range []int64{1280, 390} {
			for _, dark := range []bool{false, true} {
				rel, _ := filepath.Rel(dir, page)
				t.Run(fmt.Sprintf("%s/%d/dark=%v", rel, width, dark), func(t *testing.T) {
					NewWithT(t).Expect(visit(t, ctx, page, script, dark, width)).To(BeEmpty())
				})
			}
		}
	}
}

// TestTheBrowserTestCanFail shows that the test sees what it looks for.
func TestTheBrowserTestCanFail(t *testing.T) {
	if testing.Short() {
		t.Skip("it needs a browser")
	}
	g := NewWithT(t)
	bad := filepath.Join(t.TempDir(), "bad.html")
	g.Expect(os.WriteFile(bad, []byte(`<!DOCTYPE html><html><body><img src="other.png"><p style="width: 2000px">x</p><script>console.error("e"); throw new Error("x")</script></body></html>`), 0o644)).To(Succeed())
	wrong := strings.Join(visit(t, browser(t), bad, axe(t), false, 1280), "\n")
	for _, want := range []string{"it asks for", "console.error", "exception", "pixels wide"} {
		g.Expect(wrong).To(ContainSubstring(want))
	}
	if axe(t) != "" {
		g.Expect(wrong).To(ContainSubstring("axe-core: image-alt"))
	}
}
