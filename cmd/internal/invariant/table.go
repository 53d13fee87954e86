package invariant

// Invariant is one thing that holds of every run.
type Invariant struct {
	Name     string
	Sentence string
	// Check returns how a run broke it, as far as the run shows.
	Check func(Run) []Violation
	// unobserved says what the run has no history of, "" when it has all.
	unobserved func(Run) string
}

// Invariants are those of the design, in its order.
var Invariants = []Invariant{
	{"I1", "Every notification answered 2xx is stored, whatever crashed afterwards.", stored, needNotifications},
	{"I2", "A delivery opens one verification; the same again is answered 200 with the same id.", once, needNotifications},
	{"I3", "A verification has at most one verdict, which never changes; overrides stand beside it.", oneVerdict, needVerdict},
	{"I4", "The verdict is what the judge says of the stored evidence, or what a person said by the audit trail.", recomputed, needVerdict},
	{"I5", "A verdict's messages and rollback request are stored with it; all messages end, all attempts of a revert are the same bytes, and how it ended is told.", delivered, needCalls},
	{"I6", "No attempt of a rollback starts while another deployment than the verified one is current.", fenced, needRollback},
	{"I7", "At most one revert of a service is open; caps and brake hold.", bounded, needRollback},
	{"I8", "No revert without a decisive signal that is bad by fresh measurements.", fresh, needRevert},
	{"I9", "A rollback is never reverted automatically.", noLoop, needDeployedRollback},
	{"I10", "Shadow and withheld mean that nothing is called.", uncalled, needRollbackCalls},
	{"I11", "Every verification ends by the end of its window and max(60 s, 2 intervals).", ends, needVerification},
	{"I12", "A reload that failed changes nothing, and a verification keeps its policy.", keptPolicy, needFailedReload},
	{"I13", "A request without authentication leaves no row and is read no further than the limit.", refused, needRefused},
	{"I14", "Nothing connects to a denied address.", egress, needConnections},
	{"I15", "No secret is in anything that is shown, sent or stored for showing.", secrets, needOutputs},
	{"I16", "Nothing is written to a verification after its end, and no delivery is claimed twice at once.", exclusive, needVerification},
	{"I17", "After a person decided otherwise no call starts.", overridden, needOverride},
	{"I18", "Memory, goroutines, descriptors and the database stay bounded.", within, needSamples},
	{"I19", "A failing receiver delays neither verdict nor rollback.", undelayed, needFailedMessage},
	{"I20", "Each change is told once to each receiver, twice at most after a crash.", told, needMessages},
}
