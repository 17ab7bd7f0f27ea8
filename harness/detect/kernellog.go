package detect

import "fmt"

// KernelLog fires if the kernel has logged a known message for one of the run's nodes.
type KernelLog struct {
	// Event is the name of the message, such as conntrack-table-full.
	Event string `json:"event"`
}

// Log says which line is looked for.
func (k *KernelLog) Log() (source, event string, fields map[string]string) {
	return "kernel", k.Event, nil
}

// HostWide: the kernel has only one log, and limits the rate of its messages for the whole machine, so that only one of several parallel
// lanes may get its line.
func (*KernelLog) HostWide() {}

// Decide counts the lines of the run's nodes. Kernels up to 6.12 do not name the namespace; such a line counts.
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
