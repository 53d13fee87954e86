// Package judge turns observations into a verdict. It is pure: the same
// policy, calibration, observations and moment give the same verdict for ever.
//
// Each signal answers three questions, and is bad when all three say yes.
//
//   - Does it matter? The level since the deploy is beyond
//     expected*(1+Delta)+Epsilon, where expected is the level just before the
//     deploy, plus what the same clock time brought on earlier days.
//   - Is it more than chance? For ratios and counts: an e-value against "the
//     rate is at most the tolerated one", with negative-binomial bins, a random
//     healthy level whose drift is learnt from the history, and mixtures over
//     the size and the onset of the harm. By Ville's inequality the chance that
//     it ever passes 1/alpha on a healthy deploy is at most alpha, however
//     often it is looked at (Lindon & Malek, arXiv 2011.03567).
//   - Is it more than usual? The same statistic at hundreds of earlier moments
//     at which nothing was deployed (placebo deploys); today's must exceed what
//     a fraction alpha of them ever reached over a whole window. With few
//     placebos the tail is extrapolated as an exponential above the 90th
//     percentile (Siffer et al., KDD 2017).
//
// Two rules decide beside the questions, and a finding names the one that did:
// a probe that failed as often in a row as is enough, after it was seen to pass
// (probeStreak), and an absolute limit that is broken with confidence and was
// kept before the deploy. A limit with nothing known of before reverts nothing.
//
// Votes answer none of the questions: they are counted (ballots), and enough
// people's no are the rule by which such a signal is bad.
//
// Levels in a finding are what was seen; what is allowed for the little that
// was seen stays in the evidence, and the finding's message says so.
//
// Time is counted in bins. A bin is one step, or as many steps as fill a
// thirtieth of the window, at most a minute: constants such as "five bins"
// mean the same share of the evidence for a window of thirty seconds and one
// of a day.
package judge
