package detect

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/harness/history"
)

func made(start, end float64, ports ...int) attempt {
	return attempt{history.Sample{Start: start, Ports: ports}, end, map[string]bool{}}
}

func met(t float64, ports ...int) history.Meeting { return history.Meeting{T: t, Ports: ports} }

func starts(samples []history.Sample) []float64 {
	all := []float64{}
	for _, s := range samples {
		all = append(all, s.Start)
	}
	return all
}

func TestTrialsAreTheAttemptsThatTheFaultMet(t *testing.T) {
	for name, test := range map[string]struct {
		attempts       []attempt
		met            map[string][]history.Meeting
		trials, missed []float64
	}{
		"a change that says nothing": {
			attempts: []attempt{made(1, 2), made(3, 4)}, trials: []float64{1, 3}, missed: []float64{},
		},
		"a change that met nobody": {
			attempts: []attempt{made(1, 2)}, met: map[string][]history.Meeting{"a": nil}, trials: []float64{}, missed: []float64{1},
		},
		"by port, though both are under way": {
			attempts: []attempt{made(1, 9, 100, 107), made(2, 3, 108, 115)}, met: map[string][]history.Meeting{"a": {met(2.5, 104, 53)}},
			trials: []float64{1}, missed: []float64{2},
		},
		"the port at another time": {
			attempts: []attempt{made(1, 2, 100, 107)}, met: map[string][]history.Meeting{"a": {met(3, 104, 53)}}, trials: []float64{}, missed: []float64{1},
		},
		"by time, because the port was translated": {
			attempts: []attempt{made(1, 2, 100), made(3, 4, 101)}, met: map[string][]history.Meeting{"a": {met(3.5, 80, 40000)}},
			trials: []float64{3}, missed: []float64{1},
		},
		"one for each, by time": {
			attempts: []attempt{made(1, 5), made(1.5, 4)}, met: map[string][]history.Meeting{"a": {met(2, 80, 1), met(4.5, 80, 2)}},
			trials: []float64{1, 1.5}, missed: []float64{},
		},
		"two changes, of which one missed it": {
			attempts: []attempt{made(1, 2), made(3, 4)}, met: map[string][]history.Meeting{"a": {met(1.5, 80, 1), met(3.5, 80, 2)}, "b": {met(3.6, 80, 2)}},
			trials: []float64{3}, missed: []float64{1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			trials, missed := split(test.attempts, []string{"a", "b"}, test.met)
			g.Expect(starts(trials)).To(Equal(test.trials))
			g.Expect(starts(missed)).To(Equal(test.missed))
		})
	}
}
