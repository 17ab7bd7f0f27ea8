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
	for _, wrong := range [][]string{nil, {":8080", "idle-timeout"}, {":8080", "h2"}, {":8080", "h2c=yes"}} {
		_, err := parseHTTP(wrong)
		g.Expect(err).To(HaveOccurred(), "%q", wrong)
	}
}

func TestHTTPAnswers(t *testing.T) {
	g := NewWithT(t)
	server := httptest.NewServer(handler())
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
