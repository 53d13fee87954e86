package app

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
)

// formKey returns what makes the key that forms on pages are stamped with. It
// comes from the access tokens, which all replicas have and nobody else has in
// full, so that a form survives a restart and may be sent to another replica,
// and dies with the access that it was made under. Without access there is one
// machine, and the key is its own.
func (a *App) formKey() func() []byte {
	own := []byte(rand.Text())
	return func() []byte {
		mac := hmac.New(sha256.New, own)
		if entries := a.access(); len(entries) > 0 {
			mac = hmac.New(sha256.New, []byte("postflight form key, version 1"))
			for _, e := range entries {
				fmt.Fprintf(mac, "%d:%s,%d:%s,", len(e.Name), e.Name, len(e.Token), e.Token) // a hash takes every write
			}
		}
		return mac.Sum(nil)
	}
}
