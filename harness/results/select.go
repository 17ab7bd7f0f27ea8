package results

import (
	"fmt"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Selection says which results of a store are meant. The zero value means all.
type Selection struct {
	// Since and Until are the first and the last moment at which a run may have begun.
	Since, Until time.Time
	// Commit is the beginning of the version of relapse.
	Commit string
	// Env is a pattern of the environment's key, such as kind/*/nftables/*: * stands for any text without a slash. Without a star it may
	// also be the beginning of the key, up to a slash.
	Env string
	// Scenario and Variant are ids, Run is the id of a run.
	Scenario, Variant, Run string
	// Last is how many of the last runs of each scenario, variant and environment are meant; 0 means all.
	Last int
}

// Matches reports whether a result is in the selection, but for Last.
func (s Selection) Matches(r *Result) bool {
	return (s.Since.IsZero() || !r.Start.Before(s.Since)) && (s.Until.IsZero() || !r.Start.After(s.Until)) &&
		strings.HasPrefix(r.Versions["relapse"], s.Commit) && matchesEnv(s.Env, r.Env.Key()) &&
		(s.Scenario == "" || s.Scenario == r.Scenario) && (s.Variant == "" || s.Variant == r.Variant) && (s.Run == "" || s.Run == r.Run)
}

func matchesEnv(pattern, key string) bool {
	if pattern == "" || pattern == key || strings.HasPrefix(key, strings.TrimSuffix(pattern, "/")+"/") {
		return true
	}
	ok, err := path.Match(pattern, key)
	return ok && err == nil
}

// SelectionKeys explains what a selection can name, for help texts.
const SelectionKeys = `  since, until  a date (2026-11-30), a time (2026-11-30T04:00:00Z) or an age (36h,
                7d); until a date includes that day
  commit        version of relapse, or its beginning
  env           environment, such as lab/nftables/linux-6.18, its beginning, or a
                pattern such as kind/*/nftables/*
  scenario, variant, run
                ids
  last          only the last N runs of each scenario, variant and environment`

// ParseSelection reads a selection such as since=7d&env=lab&last=12. Ages count from now.
func ParseSelection(text string, now time.Time) (Selection, error) {
	var s Selection
	seen := []string{}
	for part := range strings.SplitSeq(text, "&") {
		if part == "" {
			continue
		}
		key, value, _ := strings.Cut(part, "=")
		// Not a query of the web: a plus is a plus, as in the version of a relapse with changes.
		value, err := url.PathUnescape(value)
		if err == nil && slices.Contains(seen, key) {
			err = fmt.Errorf("it is given twice")
		}
		if err == nil && value == "" {
			err = fmt.Errorf("it has no value")
		}
		if err == nil {
			err = s.set(key, value, now)
		}
		if err != nil {
			return Selection{}, fmt.Errorf("selection %q: %s: %w", text, key, err)
		}
		seen = append(seen, key)
	}
	return s, nil
}

func (s *Selection) set(key, value string, now time.Time) (err error) {
	switch key {
	case "since":
		s.Since, err = moment(value, now, false)
	case "until":
		s.Until, err = moment(value, now, true)
	case "commit":
		s.Commit = value
	case "env":
		s.Env = value
		_, err = path.Match(value, "")
	case "scenario":
		s.Scenario = value
	case "variant":
		s.Variant = value
	case "run":
		s.Run = value
	case "last":
		if s.Last, err = strconv.Atoi(value); err != nil || s.Last < 1 {
			return fmt.Errorf("%q is not a number from 1 on", value)
		}
	default:
		return fmt.Errorf("must be one of since, until, commit, env, scenario, variant, run, last")
	}
	return err
}

// moment reads a date, a time or an age. The end of a date is its last moment.
func moment(value string, now time.Time, end bool) (time.Time, error) {
	if t, err := time.Parse(dayForm, value); err == nil {
		if end {
			t = t.AddDate(0, 0, 1).Add(-1)
		}
		return t, nil
	}
	if t, err := time.Parse(time.RFC3339, value); err == nil {
		return t, nil
	}
	age, err := time.ParseDuration(value)
	if days, found := strings.CutSuffix(value, "d"); found {
		var n int
		n, err = strconv.Atoi(days)
		age = time.Duration(n) * 24 * time.Hour
	}
	if err != nil || age < 0 {
		return time.Time{}, fmt.Errorf("%q is neither a date (2026-11-30) nor a time (2026-11-30T04:00:00Z) nor an age (36h, 7d)", value)
	}
	return now.Add(-age), nil
}

// latest passes results on, or keeps the last of each scenario, variant and environment until it is flushed.
type latest struct {
	n    int
	each func(*Result)
	kept map[[3]string][]*Result
}

func newLast(n int, each func(*Result)) *latest {
	return &latest{n, each, map[[3]string][]*Result{}}
}

func (l *latest) add(r *Result) {
	if l.n == 0 {
		l.each(r)
		return
	}
	key := [3]string{r.Scenario, r.Variant, r.Env.Key()}
	list := l.kept[key]
	if len(list) == l.n {
		list = slices.Delete(list, 0, 1)
	}
	l.kept[key] = append(list, r)
}

func (l *latest) flush() {
	var all []*Result
	for _, list := range l.kept {
		all = append(all, list...)
	}
	slices.SortFunc(all, Compare)
	for _, r := range all {
		l.each(r)
	}
}
