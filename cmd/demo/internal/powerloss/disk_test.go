package powerloss_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/cmd/demo/internal/powerloss"
)

const trace = `7  pwrite64(11</d/f>, "\x61\x61", 2, 0) = 2
7  fsync(11</d/f>) = 0
8  pwrite64(11</d/f>, "\x62\x62", 2, 2 <unfinished ...>
7  fsync(11</d/f> <unfinished ...>
8  <... pwrite64 resumed>) = 2
7  <... fsync resumed>) = 0
7  write(15<socket:[1]>, "\x32\x30\x32", 3) = 3
7  fsync(11<\x2f\x64\x2f\x66>) = 0
7  ftruncate(11</d/f>, 1) = 0
7  pwrite64(11</d/f>, "\x63", 1, 9) = -1 ENOSPC (No space left on device)
7  pwrite64(12</d/g>, "\x63", 1, 1 <unfinished ...>
7  +++ killed by SIGKILL +++
`

func TestLeft(t *testing.T) {
	t.Parallel()
	calls, err := powerloss.Parse(strings.NewReader(trace))
	require.NoError(t, err)
	disk := powerloss.NewDisk("/d", map[string][]byte{"/d/old": []byte("x")}, calls)
	left := func(moment int) map[string]string {
		out := map[string]string{}
		for path, content := range disk.Left(moment, nil) {
			out[path] = string(content)
		}
		return out
	}
	require.Equal(t, map[string]string{"/d/old": "x"}, left(1), "nothing was synced yet, and a file that is new is not there")
	require.Equal(t, map[string]string{"/d/old": "x", "/d/f": "aa"}, left(2))
	require.Equal(t, "aa", left(6)["/d/f"], "what was written while it was synced may be missing")
	require.Equal(t, "aabb", left(8)["/d/f"])
	require.Equal(t, "aabb", left(12)["/d/f"], "a truncation is synced as well")
	require.NotContains(t, left(12), "/d/g")

	seen := map[string]bool{}
	for seed := range uint64(50) {
		seen[string(disk.Left(9, rand.New(rand.NewPCG(seed, 0)))["/d/f"])] = true // #nosec G404 -- to be the same again
	}
	require.Equal(t, map[string]bool{"aabb": true, "a": true}, seen)
}

func TestTornWritesAreOfSectors(t *testing.T) {
	t.Parallel()
	call := powerloss.Call{Name: "pwrite64", Path: "/d/f", Data: []byte(strings.Repeat("n", 1024)), Offset: 100, Begun: 1, Ended: 1}
	disk := powerloss.NewDisk("/d", map[string][]byte{"/d/f": []byte(strings.Repeat("o", 1124))}, []powerloss.Call{call})
	lengths := map[int]bool{}
	for seed := range uint64(100) {
		content := string(disk.Left(1, rand.New(rand.NewPCG(seed, 0)))["/d/f"]) // #nosec G404 -- to be the same again
		require.Len(t, content, 1124)
		require.Equal(t, strings.Repeat("o", 100), content[:100])
		lengths[strings.Count(content, "n")] = true
	}
	require.Equal(t, map[int]bool{0: true, 100: true, 412: true, 512: true, 612: true, 924: true, 1024: true}, lengths)
}
