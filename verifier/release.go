package verifier

// Member is another service's deployment of the same release and environment:
// what goes back together with it.
type Member struct {
	Deployment Deployment
	// Verification is nil while it is rolling out, and where no policy matches
	// it.
	Verification *Verification
	Policy       Policy
	Facts        Facts // of the guards, for this member; without members of its own
}

// RevertService is one service of a release in a rollback request.
type RevertService struct {
	Service                string `json:"service"`
	ExpectedCurrentVersion string `json:"expected_current_version"`
	TargetVersion          string `json:"target_version"`
}
