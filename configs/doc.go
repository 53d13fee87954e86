// Package configs reads postflight's configuration file: its schema, a strict
// load that reports every problem at once with the place of each, defaults,
// and the policies as the domain knows them.
//
// The doc comments of the fields are the manual. A field's tags say its key
// (yaml), what it is when it is not written (default), the values it may have
// (oneof) and whether it must be written (required).
package configs
