package verifier

import (
	"crypto/rand"
	"strings"
)

// Prefixes of the identifiers that people and systems see.
const (
	VerificationPrefix = "vf_"
	DeploymentPrefix   = "dp_"
	RevertPrefix       = "rv_"
	DeliveryPrefix     = "dl_"
	FreezePrefix       = "fz_"
	ApprovalPrefix     = "ap_"
	GatePrefix         = "gd_"
	GateRequestPrefix  = "gr_"
)

// NewID returns a new identifier: the prefix and 26 lower-case letters and
// digits with at least 128 random bits, so that it can't be guessed.
func NewID(prefix string) string { return prefix + strings.ToLower(rand.Text()) }
