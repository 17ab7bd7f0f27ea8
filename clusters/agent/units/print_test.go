package units

import (
	"testing"

	. "github.com/onsi/gomega"
)

func TestSeconds(t *testing.T) {
	for s, want := range map[float64]string{
		0: "0 s", 0.00035: "350 µs", 0.0021: "2.1 ms", 0.0123: "12.3 ms", 0.9994: "999 ms", 0.9996: "1 s", 5.0092: "5.01 s", 59.9: "59.9 s", 59.97: "1 min", 72: "1 min 12 s", 3720: "1 h 2 min",
	} {
		NewWithT(t).Expect(Seconds(s)).To(Equal(want))
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 25: "25", 262144: "262144", -1234567: "-1234567", 0.125: "0.125", 0.94963: "0.9496", 2e-5: "2e-05"} {
		NewWithT(t).Expect(Number(v)).To(Equal(want))
	}
}
