package crash

import (
	"context"
	"io"
	"net"
	"slices"
	"sync"
	"time"
)

// front is the one address of several replicas: each connection goes to the
// next of those that are in service and listen. One that was taken out keeps
// the connections that it has.
type front struct {
	listener net.Listener

	mu    sync.Mutex
	to    []string // HOST:PORT
	turns int
}

func openFront(ctx context.Context) (*front, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &front{listener: listener}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return // closed
			}
			go f.pass(client)
		}
	}()
	return f, nil
}

func (f *front) url() string { return "http://" + f.listener.Addr().String() }

func (f *front) close() error { return f.listener.Close() }

func (f *front) add(address string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.to = append(f.to, address)
}

func (f *front) remove(address string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.to = slices.DeleteFunc(f.to, func(a string) bool { return a == address })
}

// order is who is asked, beginning with the one whose turn it is.
func (f *front) order() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.to) == 0 {
		return nil
	}
	f.turns++
	n := f.turns % len(f.to)
	return slices.Concat(f.to[n:], f.to[:n])
}

// dial connects to the first that listens; nil where nobody does.
func (f *front) dial() net.Conn {
	dialer := net.Dialer{Timeout: time.Second}
	for _, address := range f.order() {
		if replica, err := dialer.DialContext(context.Background(), "tcp", address); err == nil {
			return replica
		}
	}
	return nil
}

// pass copies both ways until either side ends; whoever lost something by that
// says so.
func (f *front) pass(client net.Conn) {
	defer client.Close() //nolint:errcheck // it may be closed already
	replica := f.dial()
	if replica == nil {
		return
	}
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{replica, client}, {client, replica}} {
		both.Go(func() {
			_, _ = io.Copy(way[0], way[1])
			_ = way[0].Close()
		})
	}
	both.Wait()
}
