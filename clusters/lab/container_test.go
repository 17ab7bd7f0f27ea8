package lab_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/relapse-k8s/relapse/clusters/agent/changes"
	"github.com/relapse-k8s/relapse/clusters/logs"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/clusters/agent/probes"
	"github.com/relapse-k8s/relapse/clusters/agent/sandbox"
	"github.com/relapse-k8s/relapse/clusters/lab"
	"github.com/relapse-k8s/relapse/faults"
)

func TestCheckOfContainersAndVolumes(t *testing.T) {
	pod := func(spec string) []byte {
		return []byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":` + spec + `}`)
	}
	config := []byte(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},"data":{"nginx.conf":"events {}\n"}}`)
	mounted := func(mount string) []byte {
		return pod(`{"containers":[{"name":"m","image":"nginx","volumeMounts":[` + mount + `]}],"volumes":[{"name":"v","configMap":{"name":"c"}}]}`)
	}
	for name, test := range map[string]struct {
		objects [][]byte
		want    string // empty where there is nothing to refuse
	}{
		"nginx as it is":    {[][]byte{pod(`{"containers":[{"name":"m","image":"nginx"}]}`)}, ""},
		"command and args":  {[][]byte{pod(`{"containers":[{"name":"m","image":"haproxy","command":["haproxy"],"args":["-f","x"]}]}`)}, ""},
		"volume":            {[][]byte{config, mounted(`{"name":"v","mountPath":"/run/proxy","readOnly":true}`)}, ""},
		"one file":          {[][]byte{config, mounted(`{"name":"v","mountPath":"/run/x.conf","subPath":"nginx.conf"}`)}, ""},
		"unknown image":     {[][]byte{pod(`{"containers":[{"name":"m","image":"busybox"}]}`)}, `Pod p: spec.containers[0].image: "busybox": must be one of relapse, envoy, haproxy, nginx, node`},
		"another program":   {[][]byte{pod(`{"containers":[{"name":"m","image":"nginx","command":["sh","-c","nginx"]}]}`)}, `Pod p: spec.containers[0].command[0]: "sh": the image nginx has only the program nginx`},
		"args alone":        {[][]byte{pod(`{"containers":[{"name":"m","image":"nginx","args":["-g","daemon off;"]}]}`)}, `Pod p: spec.containers[0].args: an image other than relapse needs command too, here command: [nginx]`},
		"command of ours":   {[][]byte{pod(`{"containers":[{"name":"m","image":"relapse","command":["pause"]}]}`)}, `Pod p: spec.containers[0].command: the image relapse takes only args, such as server ADDRESS, http ADDRESS or pause`},
		"no such ConfigMap": {[][]byte{mounted(`{"name":"v","mountPath":"/run/proxy"}`)}, `Pod p: spec.volumes[0].configMap.name: there is no ConfigMap "c" in namespace default`},
		"no such volume":    {[][]byte{config, mounted(`{"name":"w","mountPath":"/run/proxy"}`)}, `Pod p: spec.containers[0].volumeMounts[0].name: the pod has no volume "w"`},
		"no such key":       {[][]byte{config, mounted(`{"name":"v","mountPath":"/run/x","subPath":"y.conf"}`)}, `Pod p: spec.containers[0].volumeMounts[0].subPath: the ConfigMap has no key "y.conf"`},
		"relative path":     {[][]byte{config, mounted(`{"name":"v","mountPath":"etc"}`)}, `Pod p: spec.containers[0].volumeMounts[0].mountPath: "etc": must be a path below /run, /srv, /opt, /app, /config, /data, /var/lib, /var/www, /etc/nginx, /etc/haproxy, /etc/envoy, /usr/local/etc, /usr/share/nginx, and not below /run/relapse`},
		"all of /run":       {[][]byte{config, mounted(`{"name":"v","mountPath":"/run/"}`)}, `Pod p: spec.containers[0].volumeMounts[0].mountPath: "/run/": must be a path below /run, /srv, /opt, /app, /config, /data, /var/lib, /var/www, /etc/nginx, /etc/haproxy, /etc/envoy, /usr/local/etc, /usr/share/nginx, and not below /run/relapse`},
		"one path twice":    {[][]byte{config, mounted(`{"name":"v","mountPath":"/run/a"},{"name":"v","mountPath":"/run/a/"}`)}, `Pod p: spec.containers[0].volumeMounts[1].mountPath: /run/a is taken; the containers of a pod have one file system here`},
		"another volume":    {[][]byte{pod(`{"containers":[{"name":"m","image":"nginx"}],"volumes":[{"name":"v","emptyDir":{"medium":"Memory"}}]}`)}, `Pod p: spec.volumes[].emptyDir.medium: the lab does not understand this field`},
		"binary data":       {[][]byte{[]byte(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},"binaryData":{"a":"eA=="}}`)}, `ConfigMap c: binaryData.a: the lab does not understand this field`},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			err := errors.Join((&lab.Lab{}).Check(test.objects)...)
			if test.want == "" {
				g.Expect(err).NotTo(HaveOccurred())
			} else {
				g.Expect(err).To(MatchError(test.want))
			}
		})
	}
}

func TestOffersSayHowToGetAProgram(t *testing.T) {
	g := NewWithT(t)
	t.Setenv("RELAPSE_ENVOY", t.TempDir()+"/envoy")
	offers, err := newLab(t).Offers(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(offers["envoy"].OK).To(BeFalse())
	g.Expect(offers["envoy"].Why).To(ContainSubstring("RELAPSE_ENVOY"))
	for _, name := range []string{"nginx", "haproxy", "node"} {
		if offers[name].OK {
			g.Expect(offers[name].Why).To(HavePrefix("found: /"))
		} else {
			g.Expect(offers[name].Why).To(ContainSubstring("apt-get install"))
		}
	}
}

var withConfig = [][]byte{
	[]byte(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},"data":{"a.conf":"one\n","passwd":"root:x:0:0::/:/bin/false\n"}}`),
	[]byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"client"},"spec":{
		"containers":[{"name":"main","image":"relapse","args":["pause"],"volumeMounts":[
			{"name":"v","mountPath":"/run/app/config","readOnly":true},{"name":"v","mountPath":"/etc/nginx/nginx.conf","subPath":"a.conf"}]}],
		"volumes":[{"name":"v","configMap":{"name":"c"}}]}}`),
	[]byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web"},"spec":{"containers":[{"name":"main","image":"relapse","args":["http",":8080"]}]}}`),
	[]byte(`{"apiVersion":"v1","kind":"Service","metadata":{"name":"web"},"spec":{"clusterIP":"10.96.0.7","selector":{"app":"web"},"ports":[{"port":80,"targetPort":8080}]}}`),
}

// inPod is a file as a pod sees it.
func inPod(c clusters.Cluster, pod, path string) string {
	return fmt.Sprintf("/proc/%s/root%s", c.Enter("pod/" + pod)[2], path)
}

func TestAConfigMapIsAVolumeOfThePodOnly(t *testing.T) {
	c := create(t, clusters.Spec{Name: "volumes", Nodes: 1, Proxy: "nftables", Workload: withConfig})
	g := NewWithT(t)
	for path, want := range map[string]string{"/run/app/config/a.conf": "one\n", "/run/app/config/passwd": "root:x:0:0::/:/bin/false\n", "/etc/nginx/nginx.conf": "one\n"} {
		g.Expect(os.ReadFile(inPod(c, "client", path))).To(BeEquivalentTo(want), path)
		g.Expect(os.WriteFile(inPod(c, "client", path), nil, 0o644)).To(MatchError(syscall.EROFS), path)
	}
	g.Expect(inPod(c, "web", "/etc/nginx/nginx.conf")).NotTo(BeAnExistingFile())
	g.Expect("/run/app").NotTo(BeADirectory())

	// A restart changes what is mounted, and withdrawing it changes it back.
	undo := restart(t, c, "pod/client", faults.RestartContainer{Container: "main", Files: map[string]string{"a.conf": "two\n"}})
	g.Expect(os.ReadFile(inPod(c, "client", "/run/app/config/a.conf"))).To(BeEquivalentTo("two\n"))
	undo()
	g.Expect(os.ReadFile(inPod(c, "client", "/run/app/config/a.conf"))).To(BeEquivalentTo("one\n"))
	_, err := apply(c, "pod/client", faults.RestartContainer{Container: "main", Files: map[string]string{"b.conf": ""}})
	g.Expect(err).To(MatchError(ContainSubstring(`container main: files: no ConfigMap that it mounts has the key "b.conf"`)))
}

func TestAMountPointMustBeThere(t *testing.T) {
	g := NewWithT(t)
	l := newLab(t)
	for path, want := range map[string]string{
		"/usr/local/etc/there-is-no-such-folder": "no such file or directory; below /usr, /bin, /sbin, /lib, /lib32, /lib64, /libx32 the lab can mount only at paths that exist on this machine",
	} {
		_, err := l.Create(t.Context(), clusters.Spec{Name: "no-mount", Nodes: 1, Proxy: "nftables", Logs: t.TempDir(), Workload: [][]byte{withConfig[0], fmt.Appendf(nil,
			`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"containers":[{"name":"m","image":"relapse","volumeMounts":[{"name":"v","mountPath":%q}]}],"volumes":[{"name":"v","configMap":{"name":"c"}}]}}`, path)}})
		g.Expect(err).To(MatchError(And(ContainSubstring("Pod p: spec.containers[0].volumeMounts[0].mountPath: "), ContainSubstring(want))))
	}
	g.Expect(sandbox.Mount{Target: "/usr/bin/env"}.Check()).To(MatchError(ContainSubstring("/usr/bin/env is a file on this machine")))
	g.Expect(sandbox.Mount{Target: "/usr/bin", Key: "a"}.Check()).To(MatchError(ContainSubstring("/usr/bin is a folder on this machine")))
}

func apply(c clusters.Cluster, place string, change faults.RestartContainer) (undo func() error, err error) {
	config, err := json.Marshal(&change)
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	_, err = changes.Apply.Call(ctx, c.Agent(place), changes.Request{ID: "restart", Name: "restart-container", Config: config, Run: "test", Place: place}, nil)
	return func() error { _, err := changes.Undo.Call(ctx, c.Agent(place), "restart", nil); return err }, err
}

func restart(t *testing.T, c clusters.Cluster, place string, change faults.RestartContainer) (undo func()) {
	t.Helper()
	back, err := apply(c, place, change)
	g := NewWithT(t)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(changes.Read.Call(context.Background(), c.Agent(place), "restart", nil)).To(Equal(map[string]float64{"applied": 1, "running": 1}))
	return func() { t.Helper(); NewWithT(t).Expect(back()).To(Succeed()) }
}

func TestAContainerIsRestartedWithOtherArgs(t *testing.T) {
	c := create(t, clusters.Spec{Name: "restart", Nodes: 1, Proxy: "nftables", Workload: withConfig})
	g := NewWithT(t)
	addresses, err := os.ReadFile(inPod(c, "web", "/etc/hosts"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(addresses)).To(ContainSubstring("10.244.1.5\tweb"))
	answers := func() string {
		return attempt(t, c, "pod/client", "http", &probes.HTTP{URL: "http://10.244.1.5:8080/"}).Error
	}
	g.Eventually(answers, time.Minute).Should(BeEmpty()) // its first start is not waited for
	undo := restart(t, c, "pod/web", faults.RestartContainer{Container: "main", Args: []string{"http", ":8080", "idle-timeout=1s"}})
	g.Expect(answers()).To(BeEmpty(), "it listens when the change is made")
	undo()
	g.Expect(answers()).To(BeEmpty(), "it listens when the change is undone")

	_, err = apply(c, "pod/web", faults.RestartContainer{Container: "main", Args: []string{"http", ":8080", "idle=1s"}})
	g.Expect(err).To(MatchError(And(ContainSubstring("before it listened on [8080]"), ContainSubstring(`unknown argument "idle=1s"`))))
	g.Expect(answers()).To(BeEmpty(), "a change that fails leaves the container as it was")
}

// proxied is a client and an nginx that is a proxy for itself, where it closes connections without an answer.
var proxied = [][]byte{
	[]byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"client"},"spec":{"containers":[{"name":"main","image":"relapse"}]}}`),
	[]byte(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},"data":{"nginx.conf":"user root; pid /run/nginx.pid; error_log /dev/stderr error; events {}\nhttp { access_log off; client_body_temp_path /run/t1; proxy_temp_path /run/t2; fastcgi_temp_path /run/t3; uwsgi_temp_path /run/t4; scgi_temp_path /run/t5;\n server { listen 8000; location / { proxy_pass http://127.0.0.1:8001; } }\n server { listen 8001; return 444; } }\n"}}`),
	[]byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"proxy"},"spec":{
		"containers":[{"name":"main","image":"nginx","command":["nginx"],"args":["-e","stderr","-g","daemon off;","-c","/run/proxy/nginx.conf"],"volumeMounts":[{"name":"v","mountPath":"/run/proxy"}]}],
		"volumes":[{"name":"v","configMap":{"name":"c"}}]}}`),
}

func TestWhatAProxySaysIsHeard(t *testing.T) {
	offers, err := newLab(t).Offers(t.Context())
	g := NewWithT(t)
	g.Expect(err).NotTo(HaveOccurred())
	if !offers["nginx"].OK {
		t.Skip(offers["nginx"].Why)
	}
	c := create(t, clusters.Spec{Name: "follow", Nodes: 1, Proxy: "nftables", Workload: proxied})
	ctx, cancel := context.WithCancel(t.Context())
	heard, ended := make(chan logs.Line, 100), make(chan error, 1)
	go func() { ended <- c.Follow(ctx, func(line logs.Line) { heard <- line }) }()
	var line logs.Line
	g.Eventually(func() bool { // lines from before it follows are not heard
		sample := attempt(t, c, "pod/client", "http", &probes.HTTP{URL: "http://10.244.1.5:8000/"})
		select {
		case line = <-heard:
			return strings.HasPrefix(sample.Error, "status 502 Bad Gateway from nginx")
		default:
			return false
		}
	}, time.Minute).Should(BeTrue())
	g.Expect(line).To(And(
		HaveField("Source", "nginx"), HaveField("On", "pod/proxy"), HaveField("Event", "upstream-closed"),
		HaveField("Fields", HaveKeyWithValue("upstream", "http://127.0.0.1:8001/")),
		HaveField("Line", ContainSubstring("upstream prematurely closed connection"))))
	cancel()
	g.Eventually(ended, time.Minute).Should(Receive(BeNil()))
}
