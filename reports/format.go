package reports

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/relapse-k8s/relapse/harness/judge"
)

// Percent writes a share the way it is said: "97.5 %", "100 %".
func Percent(share float64) string {
	return strconv.FormatFloat(float64(int(share*1000+0.5))/10, 'f', -1, 64) + " %"
}

// rate says how often the symptom was seen.
func rate(r judge.Reproduction) string {
	if r.Trials == 0 {
		return "no attempts"
	}
	if r.Attempts > r.Trials {
		return fmt.Sprintf("%d of the %d attempts that the fault met (%d were made)", r.Hits, r.Trials, r.Attempts)
	}
	return fmt.Sprintf("%d of %d attempts", r.Hits, r.Trials)
}

// interval says how sure that rate is.
func interval(r judge.Reproduction) string {
	if r.Trials == 0 {
		return ""
	}
	return "95 % interval " + Percent(r.Low) + " to " + Percent(r.High)
}

// bytes writes a size with three digits at most.
func bytes(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d bytes", n)
	case n < 1<<20:
		return fmt.Sprintf("%.3g KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%.3g MiB", float64(n)/(1<<20))
}

// Date writes the start of a run for people, in UTC: a report is read in other time zones than it was made in.
func Date(start string) string {
	t, err := time.Parse(time.RFC3339Nano, start)
	if err != nil {
		return start
	}
	return t.UTC().Format("2 January 2006, 15:04 UTC")
}

// symbol is a shape for an outcome or result, beside the word and never in place of it.
func symbol(outcome judge.Outcome) string {
	switch outcome {
	case judge.Pass:
		return "✓"
	case judge.Fail:
		return "✗"
	case judge.Skipped:
		return "–"
	}
	return "?"
}

// CommandLine writes arguments as one types them in a shell.
func CommandLine(args []string) string {
	quoted := make([]string, len(args))
	for i, a := range args {
		quoted[i] = shellQuote(a)
	}
	return strings.Join(quoted, " ")
}

func shellQuote(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:=,@%+", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// count writes a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
