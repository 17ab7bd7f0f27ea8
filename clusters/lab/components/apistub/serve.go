package apistub

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/relapse-k8s/relapse/clusters/lab/components/state"
)

// serve answers a list or a watch of one collection.
func (s *Stub) serve(w http.ResponseWriter, r *http.Request, c *collection) {
	query := r.URL.Query()
	wanted, err := parseSelector(query.Get("labelSelector"), query.Get("fieldSelector"))
	if err != nil {
		fail(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	// A client that comes before the first state waits, as it would for an API server that is starting.
	if err := s.await(r.Context(), func() bool { return s.loaded }); err != nil {
		return
	}
	if isTrue(query.Get("watch")) {
		s.watch(w, r, c, wanted)
		return
	}

	s.mu.Lock()
	list := objectList{
		TypeMeta: metav1.TypeMeta{APIVersion: c.apiVersion.String(), Kind: c.kind + "List"},
		ListMeta: metav1.ListMeta{ResourceVersion: strconv.FormatInt(s.resourceVersion, 10)},
		Items:    c.list(wanted),
	}
	s.mu.Unlock()
	answer(w, http.StatusOK, list)
}

// objectList is any of the API's lists.
type objectList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`
	Items           []state.Object `json:"items"`
}

func parseSelector(labelText, fieldText string) (selector, error) {
	byLabel, err := labels.Parse(labelText)
	if err != nil {
		return selector{}, fmt.Errorf("labelSelector %q: %w", labelText, err)
	}
	byField, err := fields.ParseSelector(fieldText)
	if err != nil {
		return selector{}, fmt.Errorf("fieldSelector %q: %w", fieldText, err)
	}
	return selector{byLabel, byField}, nil
}

func isTrue(text string) bool {
	value, err := strconv.ParseBool(text)
	return err == nil && value
}

func notFound(w http.ResponseWriter, r *http.Request) {
	fail(w, http.StatusNotFound, metav1.StatusReasonNotFound, r.Method+" "+r.URL.Path+": not served by the lab's stand-in for the API server")
}

func fail(w http.ResponseWriter, code int, reason metav1.StatusReason, message string) {
	answer(w, code, status(code, reason, message))
}

func status(code int, reason metav1.StatusReason, message string) metav1.Status {
	return metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
		Status:   metav1.StatusFailure, Code: int32(code), Reason: reason, Message: message,
	}
}

func answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	// A client that has gone is all that can fail here, and there is nobody left to tell.
	_ = json.NewEncoder(w).Encode(body)
}
