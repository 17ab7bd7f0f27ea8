package main

import (
	"net"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

func TestArgumentsOfServer(t *testing.T) {
	g := NewWithT(t)
	g.Expect(parseServer([]string{":80"})).To(Equal(echoServer{address: ":80"}))
	g.Expect(parseServer([]string{":80", "udp"})).To(Equal(echoServer{address: ":80", udp: true}))
	g.Expect(parseServer([]string{":80", "udp", "silent"})).To(Equal(echoServer{address: ":80", udp: true, silent: true}))
	g.Expect(parseServer([]string{":80", "backlog=4", "accept-every=50ms", "delay=2s"})).To(Equal(echoServer{
		address: ":80", delay: 2 * time.Second, listening: listening{backlog: 4, acceptEvery: 50 * time.Millisecond},
	}))
	for _, wrong := range [][]string{nil, {":80", "silent"}, {":80", "tcp"}, {":80", "backlog"}, {":80", "backlog=0"}, {":80", "delay=2"}} {
		_, err := parseServer(wrong)
		g.Expect(err).To(HaveOccurred(), "%q", wrong)
	}
}

func TestServerSendsDatagramsBack(t *testing.T) {
	g := NewWithT(t)
	packets, err := net.ListenPacket("udp4", "127.0.0.1:0")
	g.Expect(err).NotTo(HaveOccurred())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		echoServer{udp: true}.datagrams(packets)
	}()
	client, err := net.Dial("udp4", packets.LocalAddr().String())
	g.Expect(err).NotTo(HaveOccurred())
	defer client.Close()
	g.Expect(client.SetDeadline(time.Now().Add(10 * time.Second))).To(Succeed())
	for _, text := range []string{"a", "bc"} {
		_, err = client.Write([]byte(text))
		g.Expect(err).NotTo(HaveOccurred())
		answer := make([]byte, 10)
		n, err := client.Read(answer)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(string(answer[:n])).To(Equal(text))
	}
	g.Expect(packets.Close()).To(Succeed())
	g.Eventually(ended).Should(BeClosed())
}
