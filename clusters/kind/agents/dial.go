package agents

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/streaming/pkg/httpstream"

	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/limits"
)

// Dial starts relapse-agent with args in the agents' pod on a node, and returns the stream to it when it serves. The agent's standard
// error goes to log, and the end of it is in the error of the Conn when it ends. Ctx is only for dialling. Each Dial makes one request
// through client, whose configuration by default allows only a few each second.
func Dial(ctx context.Context, config *rest.Config, client kubernetes.Interface, node, place string, log io.Writer, args ...string) (*agent.Conn, error) {
	fail := func(err error) (*agent.Conn, error) {
		return nil, fmt.Errorf("%s: agent on node %s: %w", place, node, err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limits.AgentDial, fmt.Errorf("timed out after %s", limits.AgentDial))
	defer cancel()
	pod, err := podOn(ctx, client, node)
	if err != nil {
		return fail(err)
	}
	executor, err := newExecutor(config, client, pod, append([]string{agentPath}, args...))
	if err != nil {
		return fail(err)
	}
	conn := stream(executor, place, "pod "+pod+" on node "+node, log)
	if _, err := agent.Hello.Call(ctx, conn, agent.None{}, nil); err != nil {
		conn.Close()
		return fail(err)
	}
	return conn, nil
}

// podsOf lists the agents' pods.
func podsOf(ctx context.Context, client kubernetes.Interface, options metav1.ListOptions) ([]corev1.Pod, error) {
	options.LabelSelector = metav1.FormatLabelSelector(&metav1.LabelSelector{MatchLabels: labels})
	pods, err := client.CoreV1().Pods(Namespace).List(ctx, options)
	if err != nil {
		return nil, err
	}
	return pods.Items, nil
}

// podOn is the name of the running agents' pod on a node.
func podOn(ctx context.Context, client kubernetes.Interface, node string) (string, error) {
	pods, err := podsOf(ctx, client, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("spec.nodeName", node).String()})
	if err != nil {
		return "", err
	}
	for _, pod := range pods {
		if pod.Status.Phase == corev1.PodRunning && pod.DeletionTimestamp == nil {
			return pod.Name, nil
		}
	}
	return "", fmt.Errorf("none of the %d pods of DaemonSet %s/%s on this node is running", len(pods), Namespace, name)
}

// newExecutor uses WebSocket, or SPDY if the server does not support WebSocket, as kubectl exec does.
func newExecutor(config *rest.Config, client kubernetes.Interface, pod string, command []string) (remotecommand.Executor, error) {
	url := client.CoreV1().RESTClient().Post().Resource("pods").Namespace(Namespace).Name(pod).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Container: containerName, Command: command, Stdin: true, Stdout: true, Stderr: true}, scheme.ParameterCodec).URL()
	socket, err := remotecommand.NewWebSocketExecutor(config, "GET", url.String())
	if err != nil {
		return nil, err
	}
	spdy, err := remotecommand.NewSPDYExecutor(config, "POST", url)
	if err != nil {
		return nil, err
	}
	return remotecommand.NewFallbackExecutor(socket, spdy, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})
}

// stream starts the command and makes a Conn from its input and output.
func stream(executor remotecommand.Executor, place, where string, log io.Writer) *agent.Conn {
	ctx, breakOff := context.WithCancel(context.Background()) // it ends with the Conn
	stdinR, stdinW := io.Pipe()
	stdoutR, stdoutW := io.Pipe()
	words := &lastWords{log: log}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer breakOff()
		err := executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: quietEnd{stdinR}, Stdout: stdoutW, Stderr: words})
		err = words.explain(where, err)
		stdinR.CloseWithError(err)
		stdoutW.CloseWithError(err)
	}()
	return agent.NewConn(place, stdoutR, &closer{WriteCloser: stdinW, ended: ended, breakOff: breakOff})
}

// quietEnd turns the error of a closed pipe into an ordinary end: client-go would print the error.
type quietEnd struct{ io.Reader }

// Read returns io.EOF for it.
func (r quietEnd) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if errors.Is(err, io.ErrClosedPipe) {
		err = io.EOF
	}
	return n, err
}

// closer aborts the exec if it does not end by itself after its input was closed.
type closer struct {
	io.WriteCloser
	once     sync.Once
	ended    <-chan struct{}
	breakOff func()
}

// Close makes the agent undo its changes and exit.
func (c *closer) Close() error {
	c.once.Do(func() {
		go func() {
			limit := time.NewTimer(limits.AgentCloses)
			defer limit.Stop()
			select {
			case <-c.ended:
			case <-limit.C:
				c.breakOff()
			}
		}()
	})
	return c.WriteCloser.Close()
}

// wordsKept is how much of standard error is kept for errors.
const wordsKept = 2 << 10

// lastWords forwards standard error and keeps the end of it.
type lastWords struct {
	log io.Writer

	mu   sync.Mutex
	text []byte
}

// Write never fails: an error would end the stream.
func (w *lastWords) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.log != nil {
		_, _ = w.log.Write(p)
	}
	w.text = append(w.text, p...)
	w.text = w.text[max(0, len(w.text)-wordsKept):]
	return len(p), nil
}

// explain says why a stream ended. It never returns nil.
func (w *lastWords) explain(where string, err error) error {
	if err == nil {
		err = io.EOF
	}
	if errors.Is(err, context.Canceled) {
		err = fmt.Errorf("still running %s after its stream was closed", limits.AgentCloses)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	err = fmt.Errorf("exec in %s: %w", where, err)
	if words := strings.TrimSpace(string(w.text)); words != "" {
		err = fmt.Errorf("%w; its last words:\n%s", err, words)
	}
	return err
}
