package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

func TestArgumentsOfHTTP(t *testing.T) {
	g := NewWithT(t)
	g.Expect(parseHTTP([]string{":8080"})).To(Equal(httpServer{address: ":8080"}))
	g.Expect(parseHTTP([]string{":8080", "idle-timeout=100ms", "h2c"})).To(Equal(httpServer{address: ":8080", idle: 100 * time.Millisecond, h2c: true}))
	g.Expect(parseHTTP([]string{":8080", "max-age=1s", "work=20ms", "backlog=4"})).To(Equal(httpServer{
		address: ":8080", maxAge: time.Second, work: 20 * time.Millisecond, listening: listening{backlog: 4},
	}))
	for _, wrong := range [][]string{nil, {":8080", "max-age=old"}, {":8080", "accept-every"}, {":8080", "queue=none"}, {":8080", "idle-timeout"}, {":8080", "h2"}, {":8080", "h2c=yes"}} {
		_, err := parseHTTP(wrong)
		g.Expect(err).To(HaveOccurred(), "%q", wrong)
	}
}

func TestHTTPAnswers(t *testing.T) {
	g := NewWithT(t)
	server := httptest.NewServer(httpServer{}.handler())
	defer server.Close()
	get := func(path string) (status int, body string) {
		response, err := http.Get(server.URL + path)
		g.Expect(err).NotTo(HaveOccurred())
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		g.Expect(err).NotTo(HaveOccurred())
		return response.StatusCode, string(text)
	}
	_, body := get("/")
	g.Expect(body).To(HavePrefix("GET HTTP/1.1 from 127.0.0.1:"))
	_, body = get("/bytes?n=100000")
	g.Expect(body).To(HaveLen(100000))
	status, body := get("/bytes?n=many")
	g.Expect(status).To(Equal(http.StatusBadRequest))
	g.Expect(body).To(ContainSubstring("a number of bytes"))
}

func TestHTTPServerWorksOnOneRequestAtATime(t *testing.T) {
	g := NewWithT(t)
	server := httptest.NewServer(httpServer{work: 50 * time.Millisecond, queue: 2}.handler())
	defer server.Close()
	statuses := make(chan int, 6)
	start := time.Now()
	for range cap(statuses) {
		go func() {
			response, err := http.Get(server.URL)
			if err != nil {
				statuses <- 0
				return
			}
			response.Body.Close()
			statuses <- response.StatusCode
		}()
	}
	served := 0
	for range cap(statuses) {
		status := <-statuses
		g.Expect(status).To(BeElementOf(http.StatusOK, http.StatusServiceUnavailable))
		if status == http.StatusOK {
			served++
		}
	}
	g.Expect(served).To(BeNumerically(">=", 3), "one that is worked on, and two that wait")
	g.Expect(time.Since(start)).To(BeNumerically(">=", time.Duration(served)*50*time.Millisecond))
}
