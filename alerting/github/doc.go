// Package github tells GitHub how a deploy fared: as the status of its commit
// (postflight/production beside the checks of a pull request), or as a status
// of the deployment itself. GitHub sends statuses of deployments back by
// webhook; those that are written here carry Marker and a link to a verdict
// page, by which the intake knows them for ours and starts nothing.
package github
