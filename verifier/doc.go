// Package verifier is the domain of postflight: what a deployment, a policy, a
// signal, an observation, a verification, a verdict and a delivery are, and
// who may move which state where.
//
// It does no I/O and imports only the standard library. Everything that
// measures, stores, sends or shows is an adapter around these types.
package verifier
