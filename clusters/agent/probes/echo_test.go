package probes

import (
	"bufio"
	"context"
	"io"
	"net"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/agent/undo/nstest"
)

// lines is a server of one connection: the test reads each line that it gets, and writes what it likes.
func lines(t *testing.T) (address string, got chan string, conn chan net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { listener.Close() })
	got, conn = make(chan string, 10), make(chan net.Conn, 1)
	go func() {
		accepted, err := listener.Accept()
		if err != nil {
			return
		}
		defer accepted.Close()
		conn <- accepted
		for reader := bufio.NewReader(accepted); ; {
			line, err := reader.ReadString('\n')
			if err != nil {
				return
			}
			got <- line
		}
	}()
	return listener.Addr().String(), got, conn
}

func TestEchoIsNotTakenForThatOfAnotherAttempt(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	for name, c := range map[string]struct {
		late, want string // what comes back under the second attempt, and its error
	}{
		"both lines":         {"relapse 1\nrelapse 2\n", ""},
		"only the late line": {"relapse 1\n", "i/o timeout"},
		"another line":       {"relapse 1\nrelapse 3\n", `the server sent "relapse 3\n", which was not due`},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			address, got, conns := lines(t)
			p := &Echo{To: address}
			attempt := func(answer func()) error {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				go func() {
					<-got
					answer()
					if c.want == "i/o timeout" {
						cancel()
					}
				}()
				defer cancel()
				_, err := p.Attempt(ctx, 0)
				return err
			}
			ctx, cancel := context.WithCancel(t.Context())
			go func() { <-got; cancel() }()
			_, err := p.Attempt(ctx, 0)
			g.Expect(err).To(MatchError(ContainSubstring("i/o timeout")))
			conn := <-conns
			err = attempt(func() { _, _ = conn.Write([]byte(c.late)) })
			if c.want != "" {
				g.Expect(err).To(MatchError(ContainSubstring(c.want)))
			} else {
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(attempt(func() { _, _ = conn.Write([]byte("relapse 3\n")) })).To(Succeed(), "it is not behind")
			}
			g.Expect(p.Close()).To(Succeed())
		})
	}
}

func TestEchosDoNotWaitForEachOther(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	g := NewWithT(t)
	address, got, conns := lines(t)
	p := &Echo{To: address}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	first := make(chan error, 1)
	go func() {
		_, err := p.Attempt(ctx, 0)
		first <- err
	}()
	g.Expect(<-got).To(Equal("relapse 1\n"))
	conn := <-conns
	go func() {
		<-got
		_, _ = conn.Write([]byte("relapse 2\n"))
	}()
	_, err := p.Attempt(ctx, 1)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(first).NotTo(Receive())
	g.Expect(conn.Close()).To(Succeed())
	g.Expect(<-first).To(MatchError(ContainSubstring("EOF")), "who waits is told")
	_, err = p.Attempt(ctx, 2)
	g.Expect(err).To(MatchError(ContainSubstring("EOF")))
	g.Expect(p.Close()).To(Succeed())
}

func TestEchoReopens(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	g := NewWithT(t)
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	g.Expect(err).NotTo(HaveOccurred())
	defer listener.Close()
	p := &Echo{To: listener.Addr().String(), Reopen: true}
	ctx, cancel := context.WithCancel(t.Context())
	silent, failed := make(chan net.Conn), make(chan error, 1)
	go func() {
		conn, _ := listener.Accept()
		silent <- conn
	}()
	go func() {
		_, err := p.Attempt(ctx, 0)
		failed <- err
	}()
	conn := <-silent
	_, err = bufio.NewReader(conn).ReadString('\n')
	g.Expect(err).NotTo(HaveOccurred())
	cancel()
	g.Expect(<-failed).To(MatchError(ContainSubstring("i/o timeout")))
	_, err = conn.Read(make([]byte, 1))
	g.Expect(err).To(MatchError(io.EOF), "the connection is closed")

	go func() {
		conn, _ := listener.Accept()
		_, _ = io.Copy(conn, conn)
	}()
	ctx, cancel = context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err = p.Attempt(ctx, 1)
	g.Expect(err).NotTo(HaveOccurred(), "another one is open")
	g.Expect(p.Close()).To(Succeed())
}
