package apistub

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/relapse-k8s/relapse/clusters/lab/components/state"
)

func pods(revision int64, phases map[string]corev1.PodPhase) *state.State {
	st := &state.State{Revision: revision}
	for name, phase := range phases {
		st.Pods = append(st.Pods, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
			Status:     corev1.PodStatus{Phase: phase},
		})
	}
	return st
}

func serve(t *testing.T, stub *Stub) string {
	t.Helper()
	server := httptest.NewServer(stub.Handler())
	t.Cleanup(server.Close)
	return server.URL
}

// follow opens a watch and returns a function that reads its next event as "TYPE name resourceVersion". The watch ends
// with ctx.
func follow(ctx context.Context, t *testing.T, base, query string) func() string {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/api/v1/pods?watch=true&"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	lines := bufio.NewScanner(response.Body)
	return func() string {
		if !lines.Scan() {
			return fmt.Sprintf("end: %v", lines.Err())
		}
		var event struct {
			Type   string
			Object struct {
				Kind     string
				Metadata metav1.ObjectMeta
				Code     int
			}
		}
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		o := event.Object
		if o.Kind == "Status" {
			return fmt.Sprintf("%s %d", event.Type, o.Code)
		}
		if o.Metadata.Annotations[metav1.InitialEventsAnnotationKey] == "true" {
			return fmt.Sprintf("%s of %s initial-events-end %s", event.Type, o.Kind, o.Metadata.ResourceVersion)
		}
		return fmt.Sprintf("%s %s %s", event.Type, o.Metadata.Name, o.Metadata.ResourceVersion)
	}
}

func expect(t *testing.T, next func() string, want ...string) {
	t.Helper()
	for _, w := range want {
		if got := next(); got != w {
			t.Fatalf("got %q, want %q", got, w)
		}
	}
}

func TestWatch(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel() // before the server's Close, which waits for its requests
	stub := New()
	base := serve(t, stub)
	stub.Update(pods(1, map[string]corev1.PodPhase{"a": "Running", "b": "Running"}))

	alive := url.Values{"fieldSelector": {"status.phase!=Succeeded"}, "sendInitialEvents": {"true"}}
	all := follow(ctx, t, base, "sendInitialEvents=true&allowWatchBookmarks=true")
	living := follow(ctx, t, base, alive.Encode())
	expect(t, all, "ADDED a 1", "ADDED b 2", "BOOKMARK of Pod initial-events-end 2")
	expect(t, living, "ADDED a 1", "ADDED b 2", "BOOKMARK of Pod initial-events-end 2")

	stub.Update(pods(2, map[string]corev1.PodPhase{"b": "Succeeded", "c": "Running"}))
	if err := stub.AwaitSent(ctx, 2, false); err != nil {
		t.Fatal(err)
	}
	expect(t, all, "DELETED a 3", "MODIFIED b 4", "ADDED c 5")
	expect(t, living, "DELETED a 3", "DELETED b 4", "ADDED c 5") // b no longer matches

	expect(t, follow(ctx, t, base, "resourceVersion=3"), "MODIFIED b 4", "ADDED c 5")
	expect(t, follow(ctx, t, base, "resourceVersion=99"), "ERROR 410")
}

func TestWatchFromForgottenVersion(t *testing.T) {
	stub := New()
	base := serve(t, stub)
	for revision := range int64(keptEvents + 2) {
		phase := corev1.PodPhase("Running")
		if revision%2 == 1 {
			phase = "Pending"
		}
		stub.Update(pods(revision, map[string]corev1.PodPhase{"a": phase}))
	}
	expect(t, follow(t.Context(), t, base, "resourceVersion=1"), "ERROR 410")
}

func TestAwaitSentNeedsAWatcher(t *testing.T) {
	stub := New()
	stub.Update(pods(1, nil))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := stub.AwaitSent(ctx, 1, true); err == nil {
		t.Error("nobody watches, but the revision counts as sent")
	}
	if err := stub.AwaitSent(ctx, 1, false); err != nil {
		t.Errorf("nobody need watch: %v", err)
	}
}

func TestList(t *testing.T) {
	stub := New()
	base := serve(t, stub)
	stub.Update(pods(1, map[string]corev1.PodPhase{"a": "Running", "b": "Failed"}))
	for path, want := range map[string]string{
		"/api/v1/pods": `200 PodList [a b]`,
		"/api/v1/pods?fieldSelector=status.phase!%3DFailed": `200 PodList [a]`,
		"/api/v1/services":                 `200 ServiceList []`,
		"/api/v1/pods?labelSelector=!!bad": `400 Status []`,
		"/api/v1/nodes/n1":                 `404 Status []`,
	} {
		response, err := http.Get(base + path)
		if err != nil {
			t.Fatal(err)
		}
		var list struct {
			Kind  string
			Items []struct{ Metadata struct{ Name string } }
		}
		err = json.NewDecoder(response.Body).Decode(&list)
		_ = response.Body.Close()
		names := []string{}
		for _, item := range list.Items {
			names = append(names, item.Metadata.Name)
		}
		if got := fmt.Sprintf("%d %s %v", response.StatusCode, list.Kind, names); got != want || err != nil {
			t.Errorf("%s: got %q (%v), want %q", path, got, err, want)
		}
	}
}
