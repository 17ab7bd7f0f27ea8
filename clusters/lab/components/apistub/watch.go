package apistub

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiwatch "k8s.io/apimachinery/pkg/watch"
)

// watch is one client's stream of events.
type watch struct {
	of     *collection
	wanted selector
	// sent is the resource version up to which everything has been handed to the kernel for this client. The Stub's lock
	// guards it.
	sent int64
}

// message is one event on the wire.
type message struct {
	Type   apiwatch.EventType `json:"type"`
	Object any                `json:"object"`
}

// watch streams events until the client goes. It begins with all objects and a bookmark where the client asks for
// sendInitialEvents (client-go's WatchList, its default since 1.35), with all objects alone where it names no resource
// version, else with what followed the resource version it names.
func (s *Stub) watch(w http.ResponseWriter, r *http.Request, c *collection, wanted selector) {
	query := r.URL.Query()
	self := &watch{of: c, wanted: wanted}
	out := stream{encoder: json.NewEncoder(w), flush: http.NewResponseController(w).Flush}
	w.Header().Set("Content-Type", "application/json")

	from := query.Get("resourceVersion")
	initial := isTrue(query.Get("sendInitialEvents"))
	s.mu.Lock()
	var first []message
	sent := s.resourceVersion
	if initial || from == "" || from == "0" {
		for _, object := range c.list(wanted) {
			first = append(first, message{apiwatch.Added, object})
		}
	} else {
		known, err := strconv.ParseInt(from, 10, 64)
		if err != nil || known < c.forgotten || known > s.resourceVersion {
			s.mu.Unlock()
			_ = out.send([]message{tooOld(known)})
			return
		}
		sent = known
	}
	if initial {
		first = append(first, c.initialEventsEnd(sent))
	}
	s.watches[self] = struct{}{}
	self.sent = -1 // not even the beginning is sent
	s.mu.Unlock()
	defer s.leave(self)

	for messages := first; out.send(messages) == nil; {
		s.mu.Lock()
		self.sent = sent
		s.wake()
		s.mu.Unlock()
		if s.await(r.Context(), func() bool { return s.resourceVersion > sent }) != nil {
			return
		}
		s.mu.Lock()
		behind := sent < c.forgotten
		messages, sent = self.after(sent), s.resourceVersion
		s.mu.Unlock()
		if behind {
			_ = out.send([]message{tooOld(sent)})
			return
		}
	}
}

// after is what the client has not been sent yet. The Stub's lock must be held.
func (w *watch) after(sent int64) []message {
	var messages []message
	for _, e := range w.of.events {
		if e.resourceVersion <= sent {
			continue
		}
		if kind, object := e.seenBy(w.wanted); object != nil {
			messages = append(messages, message{kind, object})
		}
	}
	return messages
}

// tooOld tells a client to list again, because what it has missed is no longer kept.
func tooOld(resourceVersion int64) message {
	text := fmt.Sprintf("resource version %d is not kept", resourceVersion)
	return message{apiwatch.Error, status(http.StatusGone, metav1.StatusReasonExpired, text)}
}

// leave forgets a client that has gone, for which nobody need wait any more.
func (s *Stub) leave(w *watch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.watches, w)
	s.wake()
}

// initialEventsEnd is the bookmark that tells a client that it now knows all there is.
func (c *collection) initialEventsEnd(resourceVersion int64) message {
	return message{apiwatch.Bookmark, bookmark{
		TypeMeta: metav1.TypeMeta{APIVersion: c.apiVersion.String(), Kind: c.kind},
		ObjectMeta: metav1.ObjectMeta{
			ResourceVersion: strconv.FormatInt(resourceVersion, 10),
			Annotations:     map[string]string{metav1.InitialEventsAnnotationKey: "true"},
		},
	}}
}

// bookmark is an object of any kind with nothing in it but its resource version.
type bookmark struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
}

// stream writes events so that the client has them at once.
type stream struct {
	encoder *json.Encoder
	flush   func() error
}

func (s stream) send(messages []message) error {
	for _, m := range messages {
		if err := s.encoder.Encode(m); err != nil {
			return err
		}
	}
	return s.flush()
}
