package alerting

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/postflight/postflight/verifier"
)

// Read returns the event that a delivery's body tells of.
func Read(d verifier.Delivery) (verifier.Event, error) {
	var e verifier.Event
	if err := json.Unmarshal(d.Body, &e); err != nil {
		return e, fmt.Errorf("read delivery %s: %w", d.ID, err)
	}
	return e, nil
}

// groups are what chat systems turn into a call to everybody.
var groups = strings.NewReplacer("@channel", "@\u200bchannel", "@here", "@\u200bhere", "@everyone", "@\u200beveryone", "@group", "@\u200bgroup")

// Quiet returns a text that calls nobody: whoever may name a version must not
// wake a whole channel.
func Quiet(text string) string { return groups.Replace(text) }
