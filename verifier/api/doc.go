// Package api is the JSON API that people's tools and pipelines read, its
// OpenAPI document, and what every answer of the daemon has in common:
// request ids, problems (RFC 9457), security headers and authorisation.
//
// The application makes one huma.API with New, lets this package and the
// intake register their operations on it, and serves the mux behind
// Middleware.
package api
