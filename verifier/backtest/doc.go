// Package backtest judges deploys of the past again, under the policies in
// force and under proposed ones, and moments at which nothing was deployed
// (placebos), as often as it takes to say how often a policy is wrong. The
// judging is the daemon's own: engine.Replay looks at each deploy as
// engine.Engine.Run would have, and sees nothing that was measured later. Here
// is only what goes around it: which moments, whose word on them counts, which
// stretches of the past are read, once, and what the verdicts add up to.
package backtest
