package agents

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/client-go/tools/remotecommand"

	"github.com/relapse-k8s/relapse/clusters/agent"
)

// execution stands for the exec API.
type execution func(ctx context.Context, streams remotecommand.StreamOptions) error

func (e execution) Stream(streams remotecommand.StreamOptions) error {
	return e(context.Background(), streams)
}
func (e execution) StreamWithContext(ctx context.Context, streams remotecommand.StreamOptions) error {
	return e(ctx, streams)
}

func TestTheEndOfAStreamIsExplained(t *testing.T) {
	for name, test := range map[string]struct {
		run  execution
		want string
	}{
		"the agent failed": {func(_ context.Context, s remotecommand.StreamOptions) error {
			_, _ = io.WriteString(s.Stderr, "relapse-agent: no such place\n")
			return errors.New("command terminated with exit code 1")
		}, "the agent is gone: exec in pod a on node b: command terminated with exit code 1; its last words:\nrelapse-agent: no such place"},
		"the agent ended": {func(context.Context, remotecommand.StreamOptions) error { return nil },
			"the agent is gone: exec in pod a on node b: EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			log := &bytes.Buffer{}
			conn := stream(test.run, "pod/client", "pod a on node b", log)
			<-conn.Gone()
			_, err := agent.Hello.Call(t.Context(), conn, agent.None{}, nil)
			g.Expect(err).To(MatchError(agent.ErrGone))
			g.Expect(err).To(MatchError(ContainSubstring(test.want)))
			g.Expect(conn.Close()).To(Succeed())
		})
	}
}

func TestAStreamServesUntilItIsClosed(t *testing.T) {
	g := NewWithT(t)
	log := &bytes.Buffer{}
	undone := false
	conn := stream(execution(func(ctx context.Context, s remotecommand.StreamOptions) error {
		err := agent.Serve(ctx, s.Stdin, s.Stdout, nil)
		undone = true
		_, _ = io.WriteString(s.Stderr, "undone\n")
		return err
	}), "pod/client", "pod a on node b", log)
	_, err := agent.Hello.Call(t.Context(), conn, agent.None{}, nil)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(conn.Close()).To(Succeed())
	g.Eventually(conn.Gone(), time.Minute).Should(BeClosed())
	g.Expect(undone).To(BeTrue())
	g.Expect(log.String()).To(Equal("undone\n"))
}

func TestLastWordsAreBounded(t *testing.T) {
	g := NewWithT(t)
	w := &lastWords{}
	for range 100 {
		_, err := w.Write(bytes.Repeat([]byte("x"), 1000))
		g.Expect(err).NotTo(HaveOccurred())
	}
	g.Expect(w.text).To(HaveLen(wordsKept))
}
