// Asks over HTTP/2 by prior knowledge, from three goroutines that share a transport, until its input ends; prints each answer,
// and each failure.
package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
)

func main() {
	client := http.Client{Transport: &http2.Transport{
		AllowHTTP: true,
		DialTLSContext: func(_ context.Context, network, address string, _ *tls.Config) (net.Conn, error) {
			return net.Dial(network, address)
		},
	}}
	var over int32
	go func() {
		io.Copy(io.Discard, os.Stdin)
		atomic.StoreInt32(&over, 1)
	}()
	var asking sync.WaitGroup
	for i := 0; i < 3; i++ {
		asking.Add(1)
		go func() {
			defer asking.Done()
			for atomic.LoadInt32(&over) == 0 {
				fmt.Println(ask(client, os.Args[1]+"/seen"))
				time.Sleep(2 * time.Millisecond)
			}
		}()
	}
	asking.Wait()
}

func ask(client http.Client, url string) string {
	answer, err := client.Get(url)
	if err != nil {
		return "failed: " + err.Error()
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return "failed: " + err.Error()
	}
	return string(text)
}
