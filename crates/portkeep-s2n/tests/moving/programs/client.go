// Go's net/http on one connection, until standard input ends: client PORT CA. Says `ready` when it has that.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

func main() {
	authority, err := os.ReadFile(os.Args[2])
	if err != nil {
		panic(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	over := make(chan struct{})
	go func() {
		io.Copy(io.Discard, os.Stdin)
		close(over)
	}()
	ask := func() string {
		answer, err := client.Get("https://localhost:" + os.Args[1] + "/peer")
		if err != nil {
			panic(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			panic(err)
		}
		return strings.Fields(string(body))[0]
	}
	peer := ask()
	fmt.Println("ready")
	for count := 0; ; count++ {
		select {
		case <-over:
			fmt.Println(count)
			return
		case <-time.After(2 * time.Millisecond):
		}
		if now := ask(); now != peer {
			panic("another connection: " + peer + ", " + now)
		}
	}
}
