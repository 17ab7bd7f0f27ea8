package state

import (
	"maps"
	"reflect"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Object is any Kubernetes object.
type Object interface {
	metav1.Object
	runtime.Object
}

// Change is one object's way from one state to the next: Old is the zero value when it was added, New when it was deleted.
type Change[T Object] struct {
	Old, New T
}

// Added says that the object was not there before.
func (c Change[T]) Added() bool { return isNil(c.Old) }

// Deleted says that the object is there no more.
func (c Change[T]) Deleted() bool { return isNil(c.New) }

// Key is namespace/name, or the name alone for what has no namespace.
func Key(object metav1.Object) string {
	if object.GetNamespace() == "" {
		return object.GetName()
	}
	return object.GetNamespace() + "/" + object.GetName()
}

// Diff is what changed between two lists of objects, in the order of their keys, so that the same two states always make
// the same calls. The resource version that the sender may have put on an object does not count.
func Diff[T Object](before, after []T) []Change[T] {
	oldByKey, newByKey := byKey(before), byKey(after)
	keys := slices.Collect(maps.Keys(newByKey))
	for key := range oldByKey {
		if _, kept := newByKey[key]; !kept {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)

	var changes []Change[T]
	for _, key := range keys {
		change := Change[T]{Old: oldByKey[key], New: newByKey[key]}
		if !change.Added() && !change.Deleted() && same(change.Old, change.New) {
			continue
		}
		changes = append(changes, change)
	}
	return changes
}

func byKey[T Object](objects []T) map[string]T {
	m := make(map[string]T, len(objects))
	for _, object := range objects {
		m[Key(object)] = object
	}
	return m
}

func same[T Object](a, b T) bool {
	if a.GetResourceVersion() != b.GetResourceVersion() {
		b = b.DeepCopyObject().(T)
		b.SetResourceVersion(a.GetResourceVersion())
	}
	return equality.Semantic.DeepEqual(a, b)
}

// isNil sees through the interface: an Object that holds a nil pointer is not == nil.
func isNil[T Object](object T) bool {
	value := reflect.ValueOf(object)
	return !value.IsValid() || value.Kind() == reflect.Pointer && value.IsNil()
}
