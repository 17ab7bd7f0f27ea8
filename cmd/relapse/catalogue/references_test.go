package catalogue_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/relapse-k8s/relapse/cmd/relapse/catalogue"
	"github.com/relapse-k8s/relapse/harness/scenario"
	"github.com/relapse-k8s/relapse/harness/scenario/load"
)

// named lists the names of fields that stand for something of the scenario, and the ref that such a field must have.
var named = map[string]string{
	"probe": "probe", "probes": "probe", "on": "place", "place": "place", "pod": "pod", "pods": "pod", "reader": "reader", "source": "source",
	"variant": "variant", "variants": "variant", "detector": "detector", "needs": "offer", "offers": "offer", "step": "step", "change": "step",
	"container": "container",
}

// exempt are fields with such a name that mean something else.
var exempt = []string{
	"detect.Log.source",         // a program whose log is read, and not a document
	"scenario.Without.detector", // a reason
}

// TestFieldsThatNameSomethingSaySo: without its tag, a misspelt name in a file would pass and end a run in vain.
func TestFieldsThatNameSomethingSaySo(t *testing.T) {
	for at, f := range fieldsOfAll() {
		want, ok := named[jsonName(f)]
		if ok && isText(f.Type) && f.Tag.Get("ref") != want && !slices.Contains(exempt, at) {
			t.Errorf("%s names something of the scenario: give it the tag ref:%q", at, want)
		}
		if ref := f.Tag.Get("ref"); ref != "" && !slices.Contains(slices.Collect(maps.Values(named)), ref) && !slices.Contains([]string{"object", "claim", "file", "address"}, ref) {
			t.Errorf("%s: the loader knows no ref:%q", at, ref)
		}
	}
}

// TestTheLoaderChecksAllLimits: what only the schema knows, only editors check.
func TestTheLoaderChecksAllLimits(t *testing.T) {
	for at, f := range fieldsOfAll() {
		tag, ok := f.Tag.Lookup("jsonschema")
		for _, item := range strings.Split(tag, ",") {
			if name, _, _ := strings.Cut(item, "="); ok && !slices.Contains(load.Limits, name) {
				t.Errorf("%s: the loader does not check %s; do so in Validate", at, name)
			}
		}
	}
}

// TestReaders: a reader says what it reads.
func TestReaders(t *testing.T) {
	for name, r := range catalogue.All().Readers {
		if r.Reads == "" || strings.HasSuffix(r.Reads, ".") || !scenario.ValidName(name) {
			t.Errorf("reader %q reads %q: write a few words, without a full stop", name, r.Reads)
		}
	}
}

// fieldsOfAll returns the fields of the format's types and of all settings, by type and name.
func fieldsOfAll() map[string]reflect.StructField {
	all := map[string]reflect.StructField{}
	seen := map[reflect.Type]bool{}
	var visit func(t reflect.Type)
	visit = func(t reflect.Type) {
		for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
			t = t.Elem()
		}
		if t.Kind() != reflect.Struct || seen[t] {
			return
		}
		seen[t] = true
		for i := range t.NumField() {
			if f := t.Field(i); f.IsExported() {
				all[fmt.Sprintf("%s.%s", t, jsonName(f))] = f
				visit(f.Type)
			}
		}
	}
	visit(reflect.TypeFor[scenario.Scenario]())
	cat := catalogue.All()
	for _, entries := range []map[string]func() any{cat.Changes, cat.Probes, cat.Detectors} {
		for _, settings := range entries {
			visit(reflect.TypeOf(settings()))
		}
	}
	return all
}

func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

func isText(t reflect.Type) bool {
	if t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	return t.Kind() == reflect.String
}
