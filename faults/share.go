package faults

// share is a reading of what is so or not: 1 or 0.
func share(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
