// Package webhook posts deliveries to a URL, signed as Standard Webhooks
// (https://www.standardwebhooks.com): messages to receivers and requests to
// rollback hooks alike, for the stored bytes are all that differs.
package webhook
