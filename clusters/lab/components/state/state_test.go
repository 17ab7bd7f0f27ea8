package state

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func service(name, ip string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec:       corev1.ServiceSpec{ClusterIP: ip},
	}
}

func withVersion(s *corev1.Service, version string) *corev1.Service {
	s.ResourceVersion = version
	return s
}

func describe(changes []Change[*corev1.Service]) []string {
	var out []string
	for _, c := range changes {
		switch {
		case c.Added():
			out = append(out, "+"+Key(c.New))
		case c.Deleted():
			out = append(out, "-"+Key(c.Old))
		default:
			out = append(out, fmt.Sprintf("~%s %s>%s", Key(c.New), c.Old.Spec.ClusterIP, c.New.Spec.ClusterIP))
		}
	}
	return out
}

func TestDiff(t *testing.T) {
	type list = []*corev1.Service
	for name, tc := range map[string]struct {
		before, after list
		want          []string
	}{
		"nothing":            {},
		"first state":        {nil, list{service("b", "2"), service("a", "1")}, []string{"+default/a", "+default/b"}},
		"same":               {list{service("a", "1")}, list{service("a", "1")}, nil},
		"order is no news":   {list{service("a", "1"), service("b", "2")}, list{service("b", "2"), service("a", "1")}, nil},
		"version is no news": {list{withVersion(service("a", "1"), "4")}, list{withVersion(service("a", "1"), "5")}, nil},
		"all three": {
			list{service("a", "1"), service("b", "2"), service("c", "3")},
			list{service("b", "9"), service("c", "3"), service("d", "4")},
			[]string{"-default/a", "~default/b 2>9", "+default/d"},
		},
		"emptied": {list{service("a", "1")}, nil, []string{"-default/a"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := describe(Diff(tc.before, tc.after)); !slices.Equal(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestDiffLeavesItsInputAlone(t *testing.T) {
	before, after := withVersion(service("a", "1"), "4"), withVersion(service("a", "1"), "5")
	Diff([]*corev1.Service{before}, []*corev1.Service{after})
	if before.ResourceVersion != "4" || after.ResourceVersion != "5" {
		t.Errorf("resource versions are now %q and %q", before.ResourceVersion, after.ResourceVersion)
	}
}

func TestDecodeDefaults(t *testing.T) {
	st, err := Decode([]byte(`{"revision":3,
		"services":[{"metadata":{"name":"web"},"spec":{"clusterIP":"10.96.0.10","ports":[{"port":80}]}}],
		"endpointSlices":[{"metadata":{"name":"web-1"},"ports":[{"port":8080}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	spec := st.Services[0].Spec
	if st.Services[0].Namespace != "default" || spec.Type != corev1.ServiceTypeClusterIP ||
		spec.Ports[0].Protocol != corev1.ProtocolTCP || !slices.Equal(spec.ClusterIPs, []string{"10.96.0.10"}) ||
		!slices.Equal(spec.IPFamilies, []corev1.IPFamily{corev1.IPv4Protocol}) || spec.InternalTrafficPolicy == nil {
		t.Errorf("service without defaults: %+v", st.Services[0])
	}
	slice := st.EndpointSlices[0]
	if slice.Ports[0].Name == nil || *slice.Ports[0].Protocol != corev1.ProtocolTCP || slice.AddressType != "IPv4" {
		t.Errorf("slice without defaults: %+v", slice)
	}
}

func TestDecodeRefuses(t *testing.T) {
	for text, want := range map[string]string{
		`{"revision":1,"services":[{"metadata":{"name":"a"}},{"metadata":{"name":"a"}}]}`: "a is there twice",
		`{"revision":1,"pods":[{"metadata":{}}]}`:                                         "pods[0] has no metadata.name",
		`{"revision":1,"services":[null]}`:                                                "services[0] is null",
		`{"revision":1`:                                                                   "unexpected end",
	} {
		if _, err := Decode([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}

func TestFollowGoesOnPastABadLine(t *testing.T) {
	var got []string
	for line := range Follow(t.Context(), strings.NewReader("{\"revision\":1}\nnonsense\n\n{\"revision\":2}")) {
		if line.Err != nil {
			got = append(got, "error")
			continue
		}
		got = append(got, fmt.Sprint(line.State.Revision))
	}
	if want := []string{"1", "error", "2"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestReporter(t *testing.T) {
	var out bytes.Buffer
	reporter := NewReporter(&out)
	_ = reporter.Synced(0, 0)
	_ = reporter.Synced(7, 0.25)
	_ = reporter.Failed(8, errors.New("no such table"))
	want := `{"synced":0}` + "\n" + `{"synced":7,"seconds":0.25}` + "\n" + `{"revision":8,"error":"no such table"}` + "\n"
	if out.String() != want {
		t.Errorf("got %s, want %s", out.String(), want)
	}
}
