// Package gate decides before a deploy whether a release may go. It is pure:
// the same facts give the same verdict for ever.
//
// Every check that the gate asks must hold, and it never takes for granted what
// it does not know: a check whose answer is missing is unknown, and unknown is
// as good as failed. A check that doesn't hold may be waived, where it is about
// circumstances and not about the release itself, by a yes that names it.
package gate
