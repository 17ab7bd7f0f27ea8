package units

import "maps"

// Keys are the numbers that a reader or a change can return, on whichever kernel, by name.
type Keys map[string]Key

// Key is what is known of a number.
type Key struct {
	// Means is its meaning in a few words.
	Means string
	// Kind says between which limits it moves.
	Kind Kind
	// Meets is true for a number of a change that also tells which attempts it acted on.
	Meets bool
}

// And returns the numbers with one more, unless it is there already.
func (k Keys) And(name string, key Key) Keys {
	all := Keys{name: key}
	maps.Copy(all, k)
	return all
}

// Kind is a kind of number.
type Kind int

const (
	// Counter never falls.
	Counter Kind = iota
	// Gauge rises and falls, and is never negative.
	Gauge
	// Share is a gauge from 0 to 1, such as a switch.
	Share
	// Signed is a gauge that may be negative.
	Signed
)

// Applied is the reading that every change has: 1 while the undo list holds something of it, 0 after its undo has begun, and for a change
// that changes nothing.
const Applied = "applied"

// AppliedKey is what is known of it.
var AppliedKey = Key{Means: "1 while the change is made at the place, and not yet undone", Kind: Share}
