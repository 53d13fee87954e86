package simulator

import "slices"

// scenarios is the table, in the order of docs/safety.md.
var scenarios = slices.Concat(loopScenarios, supersedeScenarios, attributionScenarios, ambiguityScenarios, monitoringScenarios, evidenceScenarios, peopleScenarios, votesScenarios)
