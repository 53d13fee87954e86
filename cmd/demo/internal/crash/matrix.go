package crash

// Row is a fault of the matrix, and what shows that it does no harm.
type Row struct {
	Name  string // F1 to F40
	Fault string
	Holds string // what must hold, beside the invariants
	// Tests are those of every change, as FOLDER: NAME; Scenarios of its name
	// and the kills come on top.
	Tests []string
	// Missing says what of the row nothing shows yet.
	Missing string
}

// Matrix is all rows.
var Matrix = []Row{
	{Name: "F1", Fault: "kill -9 at each of the 18 steps", Holds: "ready again within 5 s", Tests: []string{"cmd/demo/internal/crash: TestKillsAtEveryStep", "cmd/demo: TestKill"}},
	{Name: "F2", Fault: "kill -9 at random moments, under load", Holds: "the same", Tests: []string{"cmd/demo/internal/crash: TestKillsAtEveryStep"}},
	{Name: "F3", Fault: "power loss: what was not synced is missing, there, or there in part", Holds: "what was acknowledged, and what was asked of others, is on disk; the daemon goes on with what is left",
		Tests: []string{"verifier/store: TestKilled", "cmd/demo/internal/powerloss: TestLeft"}},
	{Name: "F4", Fault: "SIGTERM at each step; twice", Holds: "exit 0 within 10 s, the second ends at once", Tests: []string{"cmd/demo/internal/crash: TestQuickScenarios", "cmd/postflight/internal/app: TestStopIsQuickWhateverOthersDo"}},
	{Name: "F5", Fault: "calls to the store fail before, after, late, by conflict: 1 %, 10 %, 50 % of them", Holds: "one revert, confirmed, at every rate", Tests: []string{"cmd/postflight/internal/simulator: TestStoreFaults", "cmd/postflight/internal/app: TestVerdictsAreOfWhatIsStored", "cmd/postflight/internal/app: TestAVerdictIsInTimeThoughTheStoreFailed"}},
	{Name: "F6", Fault: "database away", Holds: "503 with Retry-After, never 2xx; goes on by itself", Tests: []string{"cmd/demo/internal/crash: TestQuickScenarios", "verifier/store: TestBusyIsUnavailable"}},
	{Name: "F7", Fault: "database slow, 2 s a statement", Holds: "healthy, not ready, nothing piles up"},
	{Name: "F8", Fault: "database fails over", Holds: "no claim twice", Tests: []string{"verifier/store: TestPostgresRestart"}},
	{Name: "F9", Fault: "store corrupt, locked, of a newer schema", Holds: "one clear line, the file untouched", Tests: []string{"verifier/store: TestOpenRefusesFile", "verifier/store: TestOpenTwice", "verifier/store: TestPostgresRefuses"}},
	{Name: "F10", Fault: "disk full", Holds: "no acknowledgement; goes on when there is room", Tests: []string{"verifier/store: TestFullIsUnavailable"}},
	{Name: "F11", Fault: "Prometheus or the service refused, silent, reset, cut off", Holds: "no revert for want of data", Tests: []string{"cmd/demo: TestPrometheusDown", "probes/promql: TestSlowAndAbsentServersEnd", "probes/promql: TestConnectionCutInTheMiddle"}},
	{Name: "F12", Fault: "Prometheus answers 4xx, 5xx", Holds: "a fault of the configuration is told as one", Tests: []string{"probes/promql: TestPrepareTellsTheConfigurationsFaultsFromTheServers"}},
	{Name: "F13", Fault: "Prometheus answers nonsense", Holds: "unknown, with the reason", Tests: []string{"probes/promql: TestOnlyANumberIsANumber", "probes/promql: TestLoginPagesAndRedirectsAreNamed", "probes/promql: FuzzReply"}},
	{Name: "F14", Fault: "Prometheus endless or very slow", Holds: "8 MiB, 10 s", Tests: []string{"probes/promql: TestHugeAndPackedRepliesEnd", "probes/promql: TestSlowAndAbsentServersEnd"}},
	{Name: "F15", Fault: "counter reset, gap, no baseline", Holds: "no revert from an artefact", Tests: []string{"probes/promql: TestRatioNeverInventsNumbers", "probes/promql: TestLatencyWithoutAPastIsNoData", "cmd/postflight/internal/app: TestNoDataNeverReverts"}},
	{Name: "F16", Fault: "ticket feed down, 429, slow, HTML", Holds: "the verdict is in time", Tests: []string{"probes/tickets: TestOnlyACountIsACount", "probes/tickets: TestRetryAfterIsHonoured", "probes/tickets: TestHugeRepliesAndCutConnectionsEnd"}},
	{Name: "F17", Fault: "tickets that show up late", Holds: "the lag is respected", Tests: []string{"probes/tickets: TestWholeStepsAreCountedInOneRequest", "verifier/judge: TestOldTicketsAreFresh"}},
	{Name: "F18", Fault: "rollback hook 5xx, 429, silent, reset before and after", Holds: "one key, the same bytes, six attempts", Tests: []string{"alerting: TestRollbackEndsByItsAnswer", "alerting: TestRollbackIsTriedSixTimes", "alerting/webhook: TestConformance"}},
	{Name: "F19", Fault: "hook succeeded, killed before that was stored", Holds: "again with the same key, one effect", Tests: []string{"cmd/demo: TestKillDuringTheRollbackCall", "alerting: TestCrashSendsTheSameAgain"}},
	{Name: "F20", Fault: "clock jumps", Holds: "no verdict earlier or later than the jump, no revert for it", Tests: []string{"cmd/postflight/internal/app: TestTheClockJumps", "cmd/postflight/internal/app: TestABadDeployIsFoundThoughTheClockJumps",
		"probes/promql: TestAServerOfAnotherTimeIsNotBelieved", "verifier/store: TestReplicasTakeOverChecks"}},
	{Name: "F21", Fault: "a source's clock is wrong", Holds: "clamped and flagged", Tests: []string{"verifier: TestAcceptClamps", "verifier: TestAClockInTheFutureIsNotBelieved"}},
	{Name: "F22", Fault: "duplicates, at once and later", Holds: "one verification, the same id", Tests: []string{"verifier/store: TestReplicasAcceptOnce", "cmd/demo/internal/crash: TestKillsAtEveryStep"}},
	{Name: "F23", Fault: "events out of order", Holds: "the newest stays current", Tests: []string{"verifier: TestFollows", "verifier: TestLateNewsConfirmsNothing", "verifier/intake: TestGitHubEventsInAnyOrder", "verifier/intake: TestFluxEventsInAnyOrder"}},
	{Name: "F24", Fault: "replay of a valid request", Holds: "refused, or the same id", Tests: []string{"verifier/intake: TestFormats", "verifier/intake: TestNativeDeliveryID"}},
	{Name: "F25", Fault: "forged requests", Holds: "401, no row, nothing read beyond the limit", Tests: []string{"verifier/intake: TestFormats", "verifier/intake: TestOnlyPostIsServed", "verifier/intake: TestStrangersAreReadNoFurtherThanTheCap"}},
	{Name: "F26", Fault: "secrets are rotated", Holds: "none refused meanwhile", Tests: []string{"verifier/intake: TestSecretsRotate"}},
	{Name: "F27", Fault: "bodies too large, too deep, not JSON", Holds: "413, 400, 415; bounded reading", Tests: []string{"verifier/intake: TestAnnouncedLengthIsRefusedUnread", "verifier/intake: TestBodyCutShort", "verifier/intake: FuzzNative"}},
	{Name: "F28", Fault: "slow senders and readers", Holds: "cut off, and nobody held up", Tests: []string{"verifier/intake: TestSlowBodiesAreCutOffAndHoldNobodyUp", "verifier/intake: TestTooManyAtOnce"}},
	{Name: "F29", Fault: "addresses that lead inside", Holds: "refused after DNS and at each redirect", Tests: []string{"cmd/postflight/internal/app: TestEgressRule", "cmd/postflight/internal/app: TestEgressIsCheckedAfterNameResolution", "probes/httpprobe: TestHostsFromElsewhereTakeTheGuardedWay"}},
	{Name: "F30", Fault: "reloads that fail, and many at once", Holds: "the old configuration stays", Tests: []string{"cmd/postflight/internal/app: TestReloadSwapsAllOrNothing", "cmd/postflight/internal/app: TestReloadsAtOnceDoNotDeadlock", "configs: TestBadFiles"}},
	{Name: "F31", Fault: "secrets shown", Holds: "nowhere", Tests: []string{"configs: TestSecretShowsNowhere", "cmd/postflight: TestTheTokenIsInNoMessage"}},
	{Name: "F32", Fault: "two replicas", Holds: "one verdict, one call, shared work", Tests: []string{"cmd/postflight/internal/app: TestReplicas", "cmd/postflight/internal/app: TestAVerdictIsInTimeThoughItsReplicaDied", "verifier/store: TestReplicasShareChecks"}},
	{Name: "F33", Fault: "a replica is stopped for longer than its lease, and wakes up", Holds: "it writes no verdict, claims and sends nothing of what it had, and works again; the other has its looks two intervals after their lease, its deliveries within a minute",
		Tests: []string{"verifier/store: TestPostgresPausedReplica", "verifier/store: TestReplicasTakeOverDeliveries", "alerting: TestALateAttemptSendsNothing"}},
	{Name: "F34", Fault: "rolling upgrade", Holds: "both versions decide side by side on the newer schema, nothing is stuck; an old one that is started again is refused",
		Tests: []string{"verifier/store: TestOlderReplicasGoOn", "verifier/store: TestMigrationsOnlyAdd"}},
	{Name: "F35", Fault: "load for long, with 1 % of store calls failing", Holds: "memory, goroutines and descriptors stay flat"},
	{Name: "F36", Fault: "a hundred deploys at once, killed among them", Holds: "every verdict in time, calls bounded", Tests: []string{"cmd/postflight/internal/app: TestLimiterBoundsCallsToAHost"}},
	{Name: "F37", Fault: "receiver down, silent, reset", Holds: "neither verdict nor rollback waits", Tests: []string{"alerting: TestMessageIsTriedForADay", "cmd/demo/internal/crash: TestQuickScenarios"}},
	{Name: "F38", Fault: "hostile text", Holds: "escaped, cut, pings nobody", Tests: []string{"dashboards/board: TestHostileTextStaysText", "dashboards/board: TestLongTextIsCut", "probes/internal/render: TestPromQLEscapesValuesForTheirPlace"}},
	{Name: "F39", Fault: "fuzzed input", Holds: "no panic", Tests: []string{"verifier/intake: FuzzGitHub", "configs: FuzzParse", "verifier/judge: FuzzAssess", "probes/tickets: FuzzReply"}},
	{Name: "F40", Fault: "started and stopped again and again", Holds: "no leak, no deadlock", Tests: []string{"cmd/postflight/internal/app: TestStartAndStopManyTimes", "cmd/postflight/internal/app: TestTwoDaemonsLiveInOneProcess"}},
}
