package verifier

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// trail is five entries as a store would chain them.
func trail() []AuditEntry {
	at := time.Date(2026, 11, 23, 3, 41, 7, 123456789, time.FixedZone("CET", 3600))
	var out []AuditEntry
	var last *AuditEntry
	for i, e := range []AuditEntry{
		{By: "dana", Action: AuditFreeze, Service: "checkout", Environment: "production", Subject: "fz_1", Until: at.Add(time.Hour), Reason: "sale"},
		{By: "dana", Action: AuditMark, Service: "checkout", Environment: "production", Subject: "1.41.3", Decision: "good", Reason: "ran for weeks"},
		{By: "kim", Action: AuditOverride, Service: "checkout", Environment: "production", Subject: "vf_1", Decision: "keep", Reason: "a test's traffic"},
		{By: "kim", Action: AuditBrakeRelease, Reason: "the platform is back"},
		{By: "dana", Action: AuditUnfreeze, Service: "checkout", Environment: "production", Subject: "fz_1", Reason: "sale is over"},
	} {
		e.At = at.Add(time.Duration(i) * time.Minute)
		e = e.Chained(last)
		out, last = append(out, e), &e
	}
	return out
}

func TestAuditChain(t *testing.T) {
	require.Nil(t, CheckAudit(nil))
	entries := trail()
	require.Nil(t, CheckAudit(entries))
	first := entries[0]
	require.Equal(t, int64(1), first.Seq)
	require.Empty(t, first.Previous)
	require.Equal(t, time.Date(2026, 11, 23, 2, 41, 7, 123456000, time.UTC), first.At)
	require.Equal(t, first.Hash, entries[1].Previous)
	// Fixed for ever: the chains that are stored are checked by it.
	require.Equal(t, "8abca2e63e708e61a39e1f6f6e73c8ef05ae5fa10e09e2200aab3fcaaf972f62", entries[4].Hash)
}

func TestCheckAuditFinds(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func([]AuditEntry) []AuditEntry
		seq   int64
		kind  AuditErrorKind
	}{
		"who":      {func(e []AuditEntry) []AuditEntry { e[1].By = "nobody"; return e }, 2, AuditChanged},
		"when":     {func(e []AuditEntry) []AuditEntry { e[1].At = e[1].At.Add(time.Microsecond); return e }, 2, AuditChanged},
		"what":     {func(e []AuditEntry) []AuditEntry { e[1].Decision = "bad"; return e }, 2, AuditChanged},
		"until":    {func(e []AuditEntry) []AuditEntry { e[0].Until = time.Time{}; return e }, 1, AuditChanged},
		"the last": {func(e []AuditEntry) []AuditEntry { e[4].Reason += "!"; return e }, 5, AuditChanged},
		"text moved between fields": {func(e []AuditEntry) []AuditEntry {
			e[1].Service, e[1].Environment = e[1].Service+e[1].Environment, ""
			return e
		}, 2, AuditChanged},
		"its hash":            {func(e []AuditEntry) []AuditEntry { e[2].Hash = e[1].Hash; return e }, 3, AuditChanged},
		"written anew":        {func(e []AuditEntry) []AuditEntry { e[2].By = "dana"; e[2] = e[2].Chained(&e[1]); return e }, 4, AuditChanged},
		"the first taken out": {func(e []AuditEntry) []AuditEntry { return e[1:] }, 1, AuditMissing},
		"taken out":           {func(e []AuditEntry) []AuditEntry { return slices.Delete(e, 2, 4) }, 3, AuditMissing},
		"taken out, and the rest numbered anew": {func(e []AuditEntry) []AuditEntry {
			e = slices.Delete(e, 2, 3)
			e[2].Seq, e[3].Seq = 3, 4
			return e
		}, 3, AuditMissing},
		"swapped": {func(e []AuditEntry) []AuditEntry { e[1], e[2] = e[2], e[1]; return e }, 2, AuditReordered},
		"swapped with their numbers": {func(e []AuditEntry) []AuditEntry {
			e[1], e[2] = e[2], e[1]
			e[1].Seq, e[2].Seq = 2, 3
			return e
		}, 2, AuditReordered},
		"numbered anew": {func(e []AuditEntry) []AuditEntry { e[4].Seq = 9; return e }, 5, AuditReordered},
		"twice":         {func(e []AuditEntry) []AuditEntry { return slices.Insert(e, 1, e[0]) }, 2, AuditReordered},
	} {
		t.Run(name, func(t *testing.T) {
			fault := CheckAudit(test.spoil(trail()))
			require.NotNil(t, fault)
			require.Equal(t, test.kind, fault.Kind, fault.Error())
			require.Equal(t, test.seq, fault.Seq, fault.Error())
			require.Contains(t, fault.Error(), fmt.Sprintf("audit entry %d is %s: ", test.seq, test.kind))
		})
	}
}
