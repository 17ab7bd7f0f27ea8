package schema

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/relapse-k8s/relapse/clusters/agent/units"

	"github.com/invopop/jsonschema"

	"github.com/relapse-k8s/relapse/harness/scenario"
)

// Generate makes the schema of scenarios that may name what is in the catalogues. Descriptions are the doc comments in the
// source directories, which must hold package scenario and the packages of all config structs; each directory is read with
// those below it. A field without a doc comment is an error, for nobody could explain it to an editor's user.
func Generate(cat scenario.Catalogues, dirs ...string) ([]byte, error) {
	comments, err := docComments(dirs)
	if err != nil {
		return nil, err
	}
	g := &generator{comments: comments, types: map[string]reflect.Type{}, reflector: jsonschema.Reflector{
		Anonymous:  true,
		CommentMap: comments,
		Mapper:     unitPatterns,
	}}
	g.reflector.Namer = func(t reflect.Type) string {
		name := defName(t)
		if t.Kind() == reflect.Struct {
			g.types[name] = t
		}
		return name
	}
	root := g.reflector.Reflect(&scenario.Scenario{})
	g.defs = root.Definitions
	root.ID = scenario.SchemaURL
	root.Title = "relapse scenario"

	g.scenarioRules()
	for _, u := range []struct {
		def     string
		entries map[string]func() any
	}{{"Step", cat.Changes}, {"Probe", cat.Probes}, {"Detector", cat.Detectors}} {
		if err := g.union(u.def, u.entries); err != nil {
			return nil, err
		}
	}
	g.references(cat)
	g.lists()
	if err := g.allDescribed(); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false) // descriptions are read by people
	encoder.SetIndent("", "  ")
	err = encoder.Encode(root)
	return out.Bytes(), err
}

type generator struct {
	reflector jsonschema.Reflector
	comments  map[string]string
	defs      jsonschema.Definitions
	// types are the structs that defs describe, by the same names.
	types map[string]reflect.Type
}

var scenarioPackage = reflect.TypeFor[scenario.Scenario]().PkgPath()

// defName keeps types of the same name in different packages apart.
func defName(t reflect.Type) string {
	if t.Name() == "" || t.PkgPath() == scenarioPackage || t.PkgPath() == "" {
		return t.Name()
	}
	return lastPart(t.PkgPath()) + "." + t.Name()
}

// unitPatterns are the types with a text form of their own.
func unitPatterns(t reflect.Type) *jsonschema.Schema {
	switch t {
	case reflect.TypeFor[units.Duration]():
		return &jsonschema.Schema{Type: "string", Pattern: units.DurationPattern, Examples: []any{"250ms", "2s", "1m30s"}}
	case reflect.TypeFor[units.Percent]():
		return &jsonschema.Schema{Type: "string", Pattern: units.PercentPattern, Examples: []any{"3%", "99.5%"}}
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return &jsonschema.Schema{Type: "string"} // such as netip.Addr, which is a struct only inside
	}
	return nil
}

// scenarioRules adds what no tag says: constants, and that workload objects are those of Kubernetes, which are open.
func (g *generator) scenarioRules() {
	top := g.defs["Scenario"].Properties
	set := func(name string, alter func(*jsonschema.Schema)) {
		if property, ok := top.Get(name); ok {
			alter(property)
		}
	}
	set("apiVersion", func(s *jsonschema.Schema) { s.Const = scenario.APIVersion })
	set("kind", func(s *jsonschema.Schema) { s.Const = scenario.Kind })
	set("workload", func(s *jsonschema.Schema) {
		s.Items = &jsonschema.Schema{Type: "object", Required: []string{"apiVersion", "kind", "metadata"}}
	})
}

// references lets editors complete and check the names of offers and readers.
func (g *generator) references(cat scenario.Catalogues) {
	offers := anySlice(sortedKeys(cat.Offers))
	var closed []string
	readers := []*jsonschema.Schema{{Pattern: "^change/"}}
	meanings := ""
	for _, name := range sortedKeys(cat.Readers) {
		reader := cat.Readers[name]
		meanings += fmt.Sprintf(" %s: %s.", reader.Form(name), reader.Reads)
		if reader.Argument == "" {
			closed = append(closed, name)
		} else {
			readers = append(readers, &jsonschema.Schema{Pattern: "^" + name + "/"})
		}
	}
	readers = append(readers, &jsonschema.Schema{Enum: anySlice(closed)})
	for name, t := range g.types {
		for _, f := range reflect.VisibleFields(t) {
			field, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			property, ok := g.defs[name].Properties.Get(field)
			if ok && property.Items != nil {
				property = property.Items
			}
			switch ref := f.Tag.Get("ref"); {
			case ok && ref == "offer":
				property.Enum = offers
			case ok && ref == "reader":
				property.AnyOf = readers
				property.Description += meanings
			}
		}
	}
}

// lists bounds every list.
func (g *generator) lists() {
	most := uint64(scenario.MaxItems)
	for _, def := range g.defs {
		if def.Properties == nil {
			continue
		}
		for field := def.Properties.Oldest(); field != nil; field = field.Next() {
			if field.Value.Type == "array" {
				field.Value.MaxItems = &most
			}
		}
	}
}

func anySlice(names []string) []any {
	var all []any
	for _, name := range names {
		all = append(all, name)
	}
	return all
}

// union adds a catalogue's entries as properties, of which exactly one is given. Where other properties are optional,
// counting lets some wrong files pass; with oneOf an editor would complain about all the entries that were not meant.
func (g *generator) union(def string, entries map[string]func() any) error {
	s := g.defs[def]
	required, known := uint64(len(s.Required)), uint64(s.Properties.Len())
	least, most := required+1, known+1
	s.MinProperties, s.MaxProperties = &least, &most
	for _, name := range sortedKeys(entries) {
		if _, taken := s.Properties.Get(name); taken {
			return fmt.Errorf("the catalogue's name %q is a field of %s already", name, def)
		}
		t := reflect.TypeOf(entries[name]()).Elem()
		config := g.reflector.ReflectFromType(t)
		for sub, schema := range config.Definitions {
			g.defs[sub] = schema
		}
		config.Definitions, config.Version = nil, ""
		if config.Ref != "" {
			config.Description = g.comments[commentKey(t.PkgPath(), t.Name())]
		}
		s.Properties.Set(name, config)
	}
	return nil
}

// allDescribed reports the fields without a doc comment.
func (g *generator) allDescribed() error {
	var bare []string
	for name, def := range g.defs {
		if def.Properties == nil {
			continue
		}
		for field := def.Properties.Oldest(); field != nil; field = field.Next() {
			if field.Value.Description == "" {
				bare = append(bare, name+"."+field.Key)
			}
		}
	}
	if bare == nil {
		return nil
	}
	slices.Sort(bare)
	return fmt.Errorf("no doc comment found for %v: write one, or name the package's directory", bare)
}
