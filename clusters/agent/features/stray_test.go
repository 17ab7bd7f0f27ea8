package features

import (
	"runtime"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/agent/undo/nstest"
	"github.com/relapse-k8s/relapse/clusters/netfilter/hold"
)

// What passes is the kernel's affair; that a segment beyond the window does not shows that the trial can fail.
func TestSegmentBeyondTheWindowIsInvalid(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	NewWithT(t).Expect(segmentPasses(t.Context(), hold.DefaultStrayOffset)).To(MatchError(ContainSubstring("INVALID")))
}
