package compare

// Sizes are the smallest differences that are worth telling. Smaller ones are no change, however sure they are.
type Sizes struct {
	// Rate is a difference of rates.
	Rate float64 `json:"rate"`
	// Times must differ by this part of the smaller median, and by so many seconds.
	Time      float64 `json:"time"`
	Latency   float64 `json:"latency_s"`
	Detection float64 `json:"detection_s"`
	Recovery  float64 `json:"recovery_s"`
}

// Smallest are used in every comparison.
var Smallest = Sizes{
	// Scenarios make 5 to 50 trials. A fault that misses one in ten is one that a reader of a report would notice.
	Rate: 0.1,
	// Two machines of the same kind differ by about a tenth, and so does one between a cold and a warm cache.
	Time: 0.2,
	// A busy CPU delays an attempt by tens of milliseconds. The failures are time-outs and retries, which are longer by far: from
	// 200 ms (TCP) to 5 s (DNS).
	Latency: 0.05,
	// Readings are taken every 250 ms, so a time until a detector fired is not known better.
	Detection: 0.25,
	// A run asks every 50 ms whether a remedy has taken effect, so this is not known better either.
	Recovery: 0.05,
}

// alpha is the share of false alarms that is accepted.
const alpha = 0.05

// minRuns is how many runs a side needs for a rank test: with less, not even runs that do not overlap are a difference (3 against 3: p =
// 0.1).
const minRuns = 4
