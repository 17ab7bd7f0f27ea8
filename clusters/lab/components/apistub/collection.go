package apistub

import (
	"maps"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiwatch "k8s.io/apimachinery/pkg/watch"

	"github.com/relapse-k8s/relapse/clusters/lab/components/state"
)

// keptEvents bounds the history that a watch can start from; who asks for an older one is told to list again.
const keptEvents = 4096

// collection is all objects of one kind, and how they came to be so. The Stub's lock guards it.
type collection struct {
	apiVersion schema.GroupVersion
	kind       string
	objects    map[string]state.Object
	events     []event
	// forgotten is the resource version of the newest event that is no longer kept.
	forgotten int64
}

// event is one object's change; before is nil for a new object, after for a deleted one.
type event struct {
	resourceVersion int64
	before, after   state.Object
}

// record keeps copies: the objects given stay the caller's.
func (c *collection) record(before, after state.Object, resourceVersion int64) {
	e := event{resourceVersion: resourceVersion}
	if before != nil {
		e.before = c.stamped(before, resourceVersion)
		delete(c.objects, state.Key(before))
	}
	if after != nil {
		e.after = c.stamped(after, resourceVersion)
		c.objects[state.Key(after)] = e.after
	}
	c.events = append(c.events, e)
	if len(c.events) > keptEvents {
		c.forgotten = c.events[0].resourceVersion
		c.events = slices.Delete(c.events, 0, 1)
	}
}

// stamped is a copy that says what it is and when it was changed, as watch events must.
func (c *collection) stamped(object state.Object, resourceVersion int64) state.Object {
	object = object.DeepCopyObject().(state.Object)
	object.SetResourceVersion(strconv.FormatInt(resourceVersion, 10))
	object.GetObjectKind().SetGroupVersionKind(c.apiVersion.WithKind(c.kind))
	return object
}

// list is the objects that the selector wants, by key.
func (c *collection) list(wanted selector) []state.Object {
	objects := []state.Object{}
	for _, key := range slices.Sorted(maps.Keys(c.objects)) {
		if object := c.objects[key]; wanted.matches(object) {
			objects = append(objects, object)
		}
	}
	return objects
}

// selector is a request's label and field selector.
type selector struct {
	labels labels.Selector
	fields fields.Selector
}

func (s selector) matches(object state.Object) bool {
	if object == nil || !s.labels.Matches(labels.Set(object.GetLabels())) {
		return false
	}
	set := fields.Set{"metadata.name": object.GetName(), "metadata.namespace": object.GetNamespace()}
	if pod, ok := object.(*corev1.Pod); ok {
		set["status.phase"] = string(pod.Status.Phase)
	}
	return s.fields.Matches(set)
}

// seenBy is the event as one who only sees what the selector wants: an object that stops matching is deleted to them.
func (e event) seenBy(wanted selector) (apiwatch.EventType, state.Object) {
	was, is := wanted.matches(e.before), wanted.matches(e.after)
	switch {
	case was && is:
		return apiwatch.Modified, e.after
	case is:
		return apiwatch.Added, e.after
	case was:
		return apiwatch.Deleted, e.before
	}
	return "", nil
}
