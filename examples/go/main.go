// Run: `portkeep dev --project examples/go`, then open http://127.0.0.1:8080/
//
// The protocol without a library: a socket by its name, READY=1, and an end at SIGTERM: nothing more
// is accepted, each answer says `Connection: close`, and what is still idle after five seconds is
// closed. (Shutdown alone closes idle connections at once, under a request that is on its way.)
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// The descriptors begin at 3, and are in no certain order.
func passedSocket(name string) (net.Listener, error) {
	for number, passed := range strings.Split(os.Getenv("LISTEN_FDNAMES"), ":") {
		if passed == name {
			return net.FileListener(os.NewFile(uintptr(3+number), name))
		}
	}
	return net.Listen("tcp", "127.0.0.1:8080")
}

func notify(text string) {
	if manager, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET")); err == nil {
		manager.Write([]byte(text))
	}
}

func main() {
	listener, err := passedSocket("http")
	if err != nil {
		log.Fatal(err)
	}
	var ending int32
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if atomic.LoadInt32(&ending) != 0 {
			w.Header().Set("Connection", "close")
		}
		fmt.Fprintf(w, "Hello from process %d\n", os.Getpid())
	})}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
	notify("READY=1")
	go server.Serve(listener)
	<-stop
	atomic.StoreInt32(&ending, 1)
	listener.Close()
	time.Sleep(5 * time.Second)
	server.Shutdown(context.Background())
}
