package store

import (
	"encoding/binary"
	"errors"
	"math"
	"math/bits"
	"time"

	"github.com/postflight/postflight/verifier"
)

// What an observation has beside its time and outcome.
const (
	hasSpan = 1 << iota // another than the one before
	hasBad
	hasTotal
	hasCount
	hasValue
	hasMessage
	hasControl
	hasVoter
)

// packObservations writes observations in a fifth of the memory that they take,
// without a pointer for the collector to follow. Their timings are left out. Read
// them with unpackObservations; their times must be whole microseconds. Those of
// later follow those of list.
func packObservations(list []verifier.Observation, later ...verifier.Observation) []byte {
	n := len(list) + len(later)
	if n == 0 {
		return nil
	}
	var room [2048]byte                            // enough for most
	b := binary.AppendUvarint(room[:0], uint64(n)) // #nosec G115 -- a count
	var at, span int64
	for i := range n {
		var o *verifier.Observation
		if i < len(list) {
			o = &list[i]
		} else {
			o = &later[i-len(list)]
		}
		b = append(b, marks(o, span))
		b = binary.AppendVarint(b, o.At.UnixMicro()-at)
		b = append(b, outcomeByte(o.Outcome))
		if int64(o.Span) != span {
			b = binary.AppendVarint(b, int64(o.Span))
		}
		at, span = o.At.UnixMicro(), int64(o.Span)
		for _, v := range []float64{o.Bad, o.Total, o.Count, o.Value} {
			if v != 0 {
				b = packFloat(b, v)
			}
		}
		if o.Message != "" {
			b = packText(b, o.Message)
		}
		if c := o.Control; c != nil {
			b = packFloat(packFloat(packFloat(b, c.Bad), c.Total), c.Value)
		}
		if o.Voter != "" {
			b = packText(b, o.Voter)
		}
	}
	return append(make([]byte, 0, len(b)), b...) // no more than it needs
}

func marks(o *verifier.Observation, span int64) (m byte) {
	set := func(bit byte, there bool) {
		if there {
			m |= bit
		}
	}
	set(hasSpan, int64(o.Span) != span)
	set(hasBad, o.Bad != 0)
	set(hasTotal, o.Total != 0)
	set(hasCount, o.Count != 0)
	set(hasValue, o.Value != 0)
	set(hasMessage, o.Message != "")
	set(hasControl, o.Control != nil)
	set(hasVoter, o.Voter != "")
	return m
}

// packFloat writes round numbers in few bytes: their low bits are zero.
func packFloat(b []byte, v float64) []byte {
	return binary.AppendUvarint(b, bits.ReverseBytes64(math.Float64bits(v)))
}

func packText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// errPacked is memory that packObservations did not write.
var errPacked = errors.New("the remembered observations can't be read")

// unpackObservations reads what packObservations wrote.
func unpackObservations(b []byte) ([]verifier.Observation, error) {
	if len(b) == 0 {
		return nil, nil
	}
	r := unpacker{left: b}
	n := r.uvarint()
	if n > uint64(len(b)) { // each takes some bytes
		return nil, errPacked
	}
	out := make([]verifier.Observation, n)
	var at, span int64
	for i := range out {
		o := &out[i]
		m := r.byte()
		at += r.varint()
		o.At, o.Outcome = time.UnixMicro(at).UTC(), r.outcome()
		if m&hasSpan != 0 {
			span = r.varint()
		}
		o.Span = verifier.Duration(span)
		for bit, into := range []*float64{&o.Bad, &o.Total, &o.Count, &o.Value} {
			if m&(hasBad<<bit) != 0 {
				*into = r.float()
			}
		}
		if m&hasMessage != 0 {
			o.Message = string(r.text())
		}
		if m&hasControl != 0 {
			o.Control = &verifier.Control{Bad: r.float(), Total: r.float(), Value: r.float()}
		}
		if m&hasVoter != 0 {
			o.Voter = string(r.text())
		}
	}
	if r.failed || len(r.left) > 0 {
		return nil, errPacked
	}
	return out, nil
}

// outcomes are all that there are, by the byte that stands for each.
var outcomes = []verifier.Outcome{verifier.Measured, verifier.NoData, verifier.Failed}

// outcomeByte is beyond them for one that isn't known, so that it is not read.
func outcomeByte(o verifier.Outcome) byte {
	for i, known := range outcomes {
		if o == known {
			return byte(i) // #nosec G115 -- there are three
		}
	}
	return math.MaxUint8
}

func (r *unpacker) outcome() verifier.Outcome {
	i := int(r.byte())
	if i >= len(outcomes) {
		r.failed = true
		return ""
	}
	return outcomes[i]
}

type unpacker struct {
	left   []byte
	failed bool
}

func (r *unpacker) uvarint() uint64 {
	v, n := binary.Uvarint(r.left)
	if !r.taken(n) {
		return 0
	}
	return v
}

func (r *unpacker) varint() int64 {
	v, n := binary.Varint(r.left)
	if !r.taken(n) {
		return 0
	}
	return v
}

// taken moves on by n bytes, and reports whether they are there.
func (r *unpacker) taken(n int) bool {
	if n <= 0 || n > len(r.left) {
		r.left, r.failed = nil, true
		return false
	}
	r.left = r.left[n:]
	return true
}

func (r *unpacker) byte() byte {
	if len(r.left) == 0 {
		r.failed = true
		return 0
	}
	v := r.left[0]
	r.left = r.left[1:]
	return v
}

func (r *unpacker) float() float64 { return math.Float64frombits(bits.ReverseBytes64(r.uvarint())) }

func (r *unpacker) text() []byte {
	n := r.uvarint()
	if n > uint64(len(r.left)) {
		r.left, r.failed = nil, true
		return nil
	}
	text := r.left[:n]
	r.left = r.left[n:]
	return text
}
