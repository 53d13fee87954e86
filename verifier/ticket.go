package verifier

import "time"

// Ticket is something that a person reported, as its system pushed it here.
type Ticket struct {
	ID        string    `json:"id"` // unique within its feed
	CreatedAt time.Time `json:"created_at"`
	// Service is what it is about; Environment where, "" for any.
	Service     string `json:"service"`
	Environment string `json:"environment,omitempty"`
	// Tags are names that it may be about as well, where the system knows no
	// service.
	Tags     []string `json:"tags,omitempty"`
	Reporter string   `json:"reporter,omitempty"` // who opened it, as the system tells people apart
}

// About reports whether the ticket is about what a deploy changed.
func (t Ticket) About(target Target) bool {
	if t.Environment != "" && t.Environment != target.Environment {
		return false
	}
	if t.Service == target.Service {
		return true
	}
	for _, tag := range t.Tags {
		if tag == target.Service {
			return true
		}
	}
	return false
}

// TicketCount is how many tickets were opened in (At-Span, At], as a feed told
// it at ReadAt.
type TicketCount struct {
	At     time.Time
	Span   Duration
	Count  float64
	ReadAt time.Time
}

// KeepTickets is how long tickets and counts of them are kept: as long as the
// longest history of a policy, and a little more.
const KeepTickets = 92 * 24 * time.Hour
