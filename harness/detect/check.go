package detect

// Check is the result of checking a bound on a window, in words.
type Check struct {
	// What was expected: "lookup: slowest at most 5.3s".
	What string
	// Seen is the observed value: "5.31 s".
	Seen string
	// OK says whether the bound holds.
	OK bool
	// Blind is true if there was no data to check; OK is then false.
	Blind bool
	// Lacks is true if it is blind because the reader does not know this number here, such as a counter that this kernel does not have.
	Lacks bool
	// Wavers is true if a bound on a value held at some readings of the phase and not at others. The last one decides.
	Wavers bool
	// Fact is what was seen, as the end of a sentence after its subject: "failed 20 of 20".
	Fact string
	// Because explains the fact: an error message, or the violated bound.
	Because string
	// Number is the number that decided.
	Number float64
}
