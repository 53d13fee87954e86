// Package safety decides whether a verdict may call a rollback. A verdict says
// what the evidence shows; the guards in this package say whether anybody but
// a person may act on it. All of it is pure: the facts are read by the caller
// in one transaction, and nothing here makes a call.
//
// The failing direction is fixed: in doubt a revert doesn't happen.
package safety
