// Package shoutrrr reaches the long tail of notification services through
// github.com/nicholas-fedor/shoutrrr: a message is a title and plain text, and
// where it goes is one service URL of that library.
//
// The library makes its calls by itself, most of them over http.DefaultClient
// and none with a context, so neither our transport nor our deadline reaches
// them from outside, and an answer's status is told in words at best. Each
// attempt is therefore made by a process of its own (Serve), in which the
// library's ways out are the only ones: there every connection is dialled by
// the egress rule, no redirect is followed, the status is seen as it comes, and
// when the time is over the process ends. Starting one costs some 20 ms.
//
// Services that postflight has a receiver for, that run no HTTP (smtp) or that
// reach nobody (logger) are refused.
package shoutrrr
