package store_test

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/store"
	"github.com/postflight/postflight/verifier/store/pgtest"
)

// BenchmarkAccept is of 64 senders at once, each deploy of a service of its own.
func BenchmarkAccept(b *testing.B) {
	for name, place := range map[string]func(*testing.B) string{
		"sqlite":   func(b *testing.B) string { return "sqlite:" + filepath.Join(b.TempDir(), "postflight.db") },
		"postgres": func(b *testing.B) string { return pgtest.Database(b) },
	} {
		b.Run(name, func(b *testing.B) { benchmarkAccept(b, place(b)) })
	}
}

func benchmarkAccept(b *testing.B, place string) {
	s, err := store.Open(b.Context(), place, store.Options{})
	require.NoError(b, err)
	defer s.Close()
	policies := []verifier.Policy{policy()}
	var n atomic.Int64
	b.SetParallelism(32)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			now := time.Now()
			notification := finished(fmt.Sprint("1.", n.Add(1)), now)
			notification.Deployment.Service = "service-" + notification.Deployment.Version
			if _, _, err := s.Accept(b.Context(), notification, policies, now); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
