package agent_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"go.uber.org/goleak"

	"github.com/relapse-k8s/relapse/clusters/agent"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type count struct{ To int }

var (
	counting = agent.Op[count, int, string]{Name: "count"}
	waiting  = agent.Op[agent.None, agent.None, string]{Name: "wait"}
	failing  = agent.Op[agent.None, agent.None, agent.None]{Name: "fail"}
	crashing = agent.Op[agent.None, agent.None, agent.None]{Name: "crash"}
	unknown  = agent.Op[agent.None, agent.None, agent.None]{Name: "unknown"}
)

// pair starts an agent and returns the harness's end and a function that waits for the agent's end.
func pair(t *testing.T) (*agent.Conn, func() error) {
	t.Helper()
	ops := map[string]agent.Handler{}
	counting.Handle(ops, func(_ context.Context, p count, emit func(int)) (string, error) {
		for i := range p.To {
			emit(i)
		}
		return "counted", nil
	})
	waiting.Handle(ops, func(ctx context.Context, _ agent.None, _ func(agent.None)) (string, error) {
		<-ctx.Done()
		return "woken", nil
	})
	failing.Handle(ops, func(context.Context, agent.None, func(agent.None)) (agent.None, error) {
		return agent.None{}, errors.New("no such thing")
	})
	crashing.Handle(ops, func(context.Context, agent.None, func(agent.None)) (agent.None, error) { panic("oh") })
	requestR, requestW := io.Pipe()
	answerR, answerW := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- agent.Serve(context.Background(), requestR, answerW, ops)
		answerW.Close()
	}()
	conn := agent.NewConn("pod/test", answerR, requestW)
	t.Cleanup(func() { conn.Close(); <-conn.Gone() })
	return conn, func() error { return <-ended }
}

func TestEventsComeInOrderBeforeTheResult(t *testing.T) {
	g := NewWithT(t)
	conn, _ := pair(t)
	var seen []int
	result, err := counting.Call(context.Background(), conn, count{To: 100}, func(i int) { seen = append(seen, i) })
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(result).To(Equal("counted"))
	g.Expect(seen).To(HaveLen(100))
	g.Expect(seen[99]).To(Equal(99))
}

func TestErrorsNameTheAgentAndTheOperation(t *testing.T) {
	g := NewWithT(t)
	conn, _ := pair(t)
	_, err := failing.Call(context.Background(), conn, agent.None{}, nil)
	g.Expect(err).To(MatchError("pod/test: fail: no such thing"))
	_, err = unknown.Call(context.Background(), conn, agent.None{}, nil)
	g.Expect(err).To(MatchError(`pod/test: unknown: unknown operation "unknown"`))
	g.Expect(agent.Hello.Call(context.Background(), conn, agent.None{}, nil)).Error().NotTo(HaveOccurred())
	_, err = crashing.Call(context.Background(), conn, agent.None{}, nil)
	g.Expect(err).To(MatchError(ContainSubstring("the agent crashed: oh")))
}

func TestACancelledRequestWindsUp(t *testing.T) {
	g := NewWithT(t)
	conn, _ := pair(t)
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(time.Millisecond, cancel)
	result, err := waiting.Call(ctx, conn, agent.None{}, nil)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(result).To(Equal("woken"))
}

func TestABrokenStreamEndsTheAgentAndTheCalls(t *testing.T) {
	g := NewWithT(t)
	conn, ended := pair(t)
	called := make(chan error, 1)
	go func() {
		_, err := waiting.Call(context.Background(), conn, agent.None{}, nil)
		called <- err
	}()
	g.Expect(conn.Close()).To(Succeed())
	g.Expect(ended()).To(Succeed())
	// The agent's own wind-up may still be answered, otherwise the call says that the agent is gone.
	if err := <-called; err != nil {
		g.Expect(err).To(MatchError(agent.ErrGone))
	}
	_, err := failing.Call(context.Background(), conn, agent.None{}, nil)
	g.Expect(err).To(MatchError(agent.ErrGone))
}
