package crash

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// The connections that faults can be put on.
const (
	toDatabase   = "database"
	toPrometheus = "prometheus"
	toService    = "service"
	toHook       = "hook"
	toReceiver   = "receiver"
)

// network is what lies between the daemon and everything that it connects to.
type network struct {
	server *toxiproxy.ApiServer

	mu    sync.Mutex
	links map[string]*toxiproxy.Proxy
}

func newNetwork() *network {
	return &network{links: map[string]*toxiproxy.Proxy{},
		server: toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())}
}

// through returns a url as it is reached over the link of that name.
func (n *network) through(name, to string) (string, error) {
	u, err := url.Parse(to)
	if err != nil {
		return "", err
	}
	proxy := toxiproxy.NewProxy(n.server, name, "127.0.0.1:0", u.Host)
	if err := proxy.Start(); err != nil {
		return "", fmt.Errorf("open the link to the %s: %w", name, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.links[name] = proxy
	u.Host = proxy.Listen
	return u.String(), nil
}

// toxic is a fault of a link, as toxiproxy names them.
type toxic struct {
	Type       string         `json:"type"`
	Stream     string         `json:"stream,omitempty"` // downstream, the answers, or upstream
	Attributes map[string]int `json:"attributes"`
}

func (t toxic) String() string {
	words := []string{t.Type}
	if t.Stream != "" {
		words = append(words, t.Stream)
	}
	for _, name := range slices.Sorted(maps.Keys(t.Attributes)) {
		words = append(words, fmt.Sprintf("%s=%d", name, t.Attributes[name]))
	}
	return strings.Join(words, " ")
}

// down cuts a link: connections break and new ones are refused.
var down = toxic{Type: "down"}

// poison puts a fault on a link, and returns what takes it away.
func (n *network) poison(name string, t toxic) (heal func() error, err error) {
	n.mu.Lock()
	link := n.links[name]
	n.mu.Unlock()
	if link == nil {
		return nil, fmt.Errorf("there is no link to the %s", name)
	}
	if t.Type == down.Type {
		link.Stop()
		return link.Start, nil
	}
	spec, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	added, err := link.Toxics.AddToxicJson(strings.NewReader(string(spec)))
	if err != nil {
		return nil, fmt.Errorf("put %s on the link to the %s: %w", t, name, err)
	}
	return func() error { return link.Toxics.RemoveToxic(context.Background(), added.Name) }, nil
}

func (n *network) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, link := range n.links {
		link.Stop()
	}
}
