// Package intake takes notifications of deploys in: it finds out which
// configured source sent one, decodes the source's format into a
// verifier.Notification, hands that to the store, and acknowledges only what
// is stored.
//
// What it promises: an unauthenticated request leaves no trace and is read no
// further than the source's limit; a sender is told every wrong field at once;
// an event that starts nothing is answered 200 with the reason, for providers
// switch a hook off that answers anything else.
package intake
