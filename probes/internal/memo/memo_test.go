package memo_test

import (
	"errors"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/probes/internal/memo"
)

func TestMemo(t *testing.T) {
	var m memo.Memo[*int]
	made := 0
	number := func(text string) (*int, error) {
		made++
		n, err := strconv.Atoi(text)
		return &n, err
	}
	one, err := m.Of("1", number)
	require.NoError(t, err)
	again, err := m.Of("1", number)
	require.NoError(t, err)
	require.Same(t, one, again)
	require.Equal(t, 1, made)

	for range 2 {
		_, err = m.Of("x", number)
		require.ErrorIs(t, err, strconv.ErrSyntax, "an error comes again")
	}
	for i := range 2500 {
		n, err := m.Of(strconv.Itoa(i), number)
		require.NoError(t, err)
		require.Equal(t, i, *n)
	}
	made = 0
	_, err = m.Of("1", number)
	require.NoError(t, err)
	require.Equal(t, 1, made, "what was kept is bounded")
}

func TestMemoAtOnce(t *testing.T) {
	var m memo.Memo[string]
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 3000 {
				text := strconv.Itoa(i % 1500)
				got, err := m.Of(text, func(s string) (string, error) {
					if s == "7" {
						return "", errors.New("seven")
					}
					return s, nil
				})
				if text != "7" {
					assert.NoError(t, err)
					assert.Equal(t, text, got)
				}
			}
		})
	}
	all.Wait()
}
