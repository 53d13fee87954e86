package invariant

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/netip"
	"net/url"
)

// refusedAlways are the addresses that nothing connects to, beside link-local
// and multicast ones: where clouds hand out credentials.
var refusedAlways = []netip.Prefix{
	netip.MustParsePrefix("fd00:ec2::254/128"), netip.MustParsePrefix("fd20:ce::254/128"),
	netip.MustParsePrefix("100.100.100.200/32"), netip.MustParsePrefix("168.63.129.16/32"),
}

func needConnections(r Run) string { return unkept(r.Connections, "the connections that it opened") }

// egress is I14.
func egress(r Run) (out []Violation) {
	for _, c := range r.Connections.Entries {
		addr := c.Address.Unmap().WithZone("")
		switch {
		case addr.IsLinkLocalUnicast() || addr.IsMulticast() || anyContains(refusedAlways, addr):
			out = append(out, wrong(addr.String(), "it connected there at %s, and that is refused always", clock(c.At)))
		case !c.Written && !anyContains(r.Egress, addr):
			out = append(out, wrong(addr.String(), "it connected there at %s, by a template or a redirect, and egress.allow does not have it", clock(c.At)))
		}
	}
	return out
}

func anyContains(list []netip.Prefix, addr netip.Addr) bool {
	for _, p := range list {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

func needOutputs(r Run) string {
	if len(r.Secrets) == 0 {
		return "the run has no canaries for secrets"
	}
	return unkept(r.Outputs, "what it showed; what is stored for showing was searched")
}

// secrets is I15.
func secrets(r Run) (out []Violation) {
	for _, secret := range r.Secrets {
		for _, o := range append(r.State.outputs(), r.Outputs.Entries...) {
			for _, form := range forms(secret) {
				if bytes.Contains(o.Text, form) {
					out = append(out, wrong(o.Where, "it holds the secret that begins with %q", secret[:min(4, len(secret))]))
					break
				}
			}
		}
	}
	return out
}

// forms are a secret as it is, in a URL, in JSON and in basic authentication.
func forms(secret string) [][]byte {
	quoted, err := json.Marshal(secret)
	if err != nil {
		quoted = []byte(`"` + secret + `"`)
	}
	return [][]byte{
		[]byte(secret), []byte(url.QueryEscape(secret)), []byte(url.PathEscape(secret)), quoted[1 : len(quoted)-1],
		[]byte(base64.StdEncoding.EncodeToString([]byte(secret))), []byte(base64.URLEncoding.EncodeToString([]byte(secret))),
	}
}

// outputs is what is stored to be shown or sent.
func (s State) outputs() (out []Output) {
	add := func(where string, value any) {
		if b, err := json.Marshal(value); err == nil {
			out = append(out, Output{where, b})
		}
	}
	for _, v := range s.Verifications {
		add("record "+v.ID, v.Verification)
		add("evidence "+v.ID, v.Evidence)
		for _, d := range v.Deliveries {
			out = append(out, Output{"body of " + d.ID, d.Body})
			add("attempts of "+d.ID, d)
		}
	}
	for _, d := range s.Deployments {
		add("deployment "+d.ID, d)
	}
	add("audit", s.Audit)
	return out
}

// most is what a process of the daemon may hold.
var most = Sample{Resident: 256 << 20, Goroutines: 2000, Descriptors: 1000, Database: 1 << 30}

// grows is by how much the last third of the samples may exceed the most of the
// first third, and enough how many there must be to say so.
const (
	grows  = 1.25
	enough = 9
)

func needSamples(r Run) string {
	if why := unkept(r.Samples, "samples of the process"); why != "" {
		return why
	}
	if len(r.Samples.Entries) == 0 {
		return "nobody took a sample of the process"
	}
	return ""
}

// within is I18.
func within(r Run) (out []Violation) {
	for _, m := range []struct {
		what  string
		limit int64
		value func(Sample) int64
		flat  bool // it may not keep growing either
	}{
		{"bytes resident", positive(r.Most.Resident, most.Resident), func(s Sample) int64 { return s.Resident }, false},
		{"goroutines", int64(positive(r.Most.Goroutines, most.Goroutines)), func(s Sample) int64 { return int64(s.Goroutines) }, true},
		{"descriptors", int64(positive(r.Most.Descriptors, most.Descriptors)), func(s Sample) int64 { return int64(s.Descriptors) }, true},
		{"bytes of database", positive(r.Most.Database, most.Database), func(s Sample) int64 { return s.Database }, false},
	} {
		samples := r.Samples.Entries
		for _, s := range samples {
			if v := m.value(s); v > m.limit {
				out = append(out, wrong("sample at "+clock(s.At), "%d %s, and the limit is %d", v, m.what, m.limit))
			}
		}
		if n := len(samples); m.flat && n >= enough {
			first, last := highest(samples[:n/3], m.value), lowest(samples[n-n/3:], m.value)
			if first > 0 && float64(last) > grows*float64(first) {
				out = append(out, wrong("samples since "+clock(samples[n-n/3].At), "at least %d %s, and at most %d at first: they keep growing", last, m.what, first))
			}
		}
	}
	return out
}

func highest(samples []Sample, value func(Sample) int64) (out int64) {
	for _, s := range samples {
		out = max(out, value(s))
	}
	return out
}

func lowest(samples []Sample, value func(Sample) int64) int64 {
	out := value(samples[0])
	for _, s := range samples {
		out = min(out, value(s))
	}
	return out
}
