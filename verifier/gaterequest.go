package verifier

import "time"

// GateRequestState says how far the answer to a pipeline that waits for the
// gate is.
type GateRequestState string

// The states of a gate request. The last two are final.
const (
	RequestWaiting   GateRequestState = "waiting"   // nothing is answered yet
	RequestAnswering GateRequestState = "answering" // decided; the answer is on its way
	RequestAnswered  GateRequestState = "answered"
	RequestFailed    GateRequestState = "failed" // the answer can't be given any more
)

// The answers to a gate request, in the words of GitHub.
const (
	AnswerApproved = "approved"
	AnswerRejected = "rejected"
)

// GateRequest is a pipeline elsewhere that waits until it is told what the gate
// says of a release.
type GateRequest struct {
	ID string `json:"id"` // gr_...
	Release
	Source string `json:"source"` // name of the configured source
	// Key is what the source knows the request by: the same again is this one.
	Key   string `json:"key"`
	Actor string `json:"actor,omitempty"` // who wants to deploy, as the source told
	// Callback is where the answer goes; Waits is what the source calls the
	// environment that waits for it; Installation is on whose behalf.
	Callback     string           `json:"callback"`
	Waits        string           `json:"waits"`
	Installation int64            `json:"installation"`
	ReceivedAt   time.Time        `json:"received_at"`
	State        GateRequestState `json:"state"`
	// Said are the words that were last shown while it waits, in Comments of them.
	Said     string `json:"said,omitempty"`
	Comments int    `json:"comments,omitempty"`
	// Answer, with Comment, is what is to be told since AnsweredAt; "" while it
	// waits.
	Answer     string    `json:"answer,omitempty"`
	Comment    string    `json:"comment,omitempty"`
	AnsweredAt time.Time `json:"answered_at,omitzero"`
	Attempts   int       `json:"attempts,omitempty"` // at telling it
	Reason     string    `json:"reason,omitempty"`   // of the last failure
	// Epoch makes a holder's write valid; it is not part of the record.
	Epoch int64 `json:"-"`
}

// Final reports whether nothing more will be told.
func (r GateRequest) Final() bool { return r.State == RequestAnswered || r.State == RequestFailed }
