package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/postflight/postflight/cmd/demo/internal/world"
)

// tell plays a scenario in a world of its own and says whether it held. The
// error is about the world, not about the story.
func tell(ctx context.Context, n *narrator, s scenario, stay bool) (held bool, err error) {
	n.title(s.about)
	begun := time.Now()
	w, remove, err := open(ctx, n, s.world)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, w.Close(), remove()) }()
	differs := s.play(ctx, &story{World: w, narrator: n, service: shopName})
	switch {
	case differs == nil:
		n.good(fmt.Sprintf("The story held, in %s.", time.Since(begun).Round(time.Second)))
	case ctx.Err() == nil:
		n.fail(differs)
	}
	switch {
	case ctx.Err() != nil:
	case stay:
		n.addresses(w)
		n.note("Everything stays up until Ctrl-C.")
		<-ctx.Done()
	default:
		n.note("All of it is closed now; KEEP=1 leaves it up, to look at the verdict pages.")
	}
	return differs == nil, nil
}

func open(ctx context.Context, n *narrator, o world.Options) (w *world.World, remove func() error, err error) {
	dir, err := os.MkdirTemp("", "postflight-build-")
	if err != nil {
		return nil, nil, fmt.Errorf("find postflight: %w", err)
	}
	remove = func() error { return os.RemoveAll(dir) }
	binary, err := world.Binary(ctx, dir)
	if err != nil {
		return nil, nil, errors.Join(err, remove())
	}
	if len(o.Services) == 0 {
		o.Services = []world.Service{{Name: shopName}}
	}
	o.Binary = binary
	n.step("Open %s with customers and %s of past, a Prometheus, a ticket desk, a pipeline and postflight", shopsOf(o), world.History)
	w, err = world.Start(ctx, o)
	if err != nil {
		return nil, nil, errors.Join(err, remove())
	}
	n.addresses(w)
	return w, remove, nil
}
