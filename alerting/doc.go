// Package alerting sends what has been decided: messages to receivers and
// rollback requests to rollback hooks. It owns when to try again and when to
// give up; the packages below it each know one kind of system and make one
// attempt.
package alerting
