package scenario

import "encoding/json"

// MarshalJSON writes the step as in the file: the change's name is a key beside the step's fields.
func (s Step) MarshalJSON() ([]byte, error) {
	type fields Step
	return inline(fields(s), s.Use)
}

// MarshalJSON writes the probe as in the file: its kind is a key beside the probe's fields.
func (p Probe) MarshalJSON() ([]byte, error) {
	type fields Probe
	return inline(fields(p), p.Use)
}

// MarshalJSON writes the detector as in the file: its kind is a key beside the detector's fields.
func (d Detector) MarshalJSON() ([]byte, error) {
	type fields Detector
	return inline(fields(d), d.Use)
}

// inline adds the union's key to the fields, which are never none.
func inline(fields any, use Use) ([]byte, error) {
	object, err := json.Marshal(fields)
	if err != nil || use.Name == "" {
		return object, err
	}
	entry, err := json.Marshal(map[string]any{use.Name: use.Config})
	if err != nil {
		return nil, err
	}
	return append(append(object[:len(object)-1], ','), entry[1:]...), nil
}
