package detect

import (
	"errors"
	"fmt"
)

// KernelLog fires when the kernel has logged a known message for one of the run's nodes.
type KernelLog struct {
	// Event is the name of the message, such as conntrack-table-full.
	Event string `json:"event"`
}

// Validate refuses settings that mean nothing.
func (k *KernelLog) Validate() error {
	if k.Event == "" {
		return errors.New("event must be given")
	}
	return nil
}

// HostWide marks that the kernel has one log, whose messages it rate-limits over the whole machine: of several lanes at once
// only one may get its line.
func (*KernelLog) HostWide() {}

// Decide counts the lines of the run's nodes. Kernels up to 6.12 do not say whose a line is; such a line counts.
func (k *KernelLog) Decide(w Window) Result {
	n := 0
	for _, l := range w.Logs {
		if l.Source == "kernel" && l.Event == k.Event && (l.Netns == 0 || w.Nodes[l.Netns]) {
			n++
		}
	}
	text := fmt.Sprintf("%d lines %s", n, k.Event)
	if n == 1 {
		text = "1 line " + k.Event
	}
	return Result{Fired: n > 0, Reading: float64(n), Text: text}
}
