package main

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
)

// loggedErrors remembers the errors that the proxier logged since reset, because the log is the only place where the
// proxier says why a sync failed.
type loggedErrors struct {
	mu   sync.Mutex
	errs []string
}

// keptErrors bounds a report: a failed transaction can be followed by much that was in vain.
const keptErrors = 4

func (l *loggedErrors) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.errs = nil
}

// joined is what was logged, as one error.
func (l *loggedErrors) joined() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.errs) == 0 {
		return errors.New("its log does not say why")
	}
	return errors.New(strings.Join(l.errs, "; "))
}

func (l *loggedErrors) record(err error, msg string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.errs) == keptErrors {
		return
	}
	if err != nil {
		msg = fmt.Sprintf("%s: %v", msg, err)
	}
	l.errs = append(l.errs, msg)
}

// logger is klog's own, with its errors recorded on the way.
func (l *loggedErrors) logger() klog.Logger {
	return logr.New(&recordingSink{LogSink: klog.Background().GetSink(), to: l})
}

type recordingSink struct {
	logr.LogSink
	to *loggedErrors
}

func (s *recordingSink) Error(err error, msg string, keysAndValues ...any) {
	s.to.record(err, msg)
	s.LogSink.Error(err, msg, keysAndValues...)
}

func (s *recordingSink) WithValues(keysAndValues ...any) logr.LogSink {
	return &recordingSink{LogSink: s.LogSink.WithValues(keysAndValues...), to: s.to}
}

func (s *recordingSink) WithName(name string) logr.LogSink {
	return &recordingSink{LogSink: s.LogSink.WithName(name), to: s.to}
}
