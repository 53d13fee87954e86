package recorded_test

import (
	"bytes"
	"compress/gzip"
	"math"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier/judge/recorded"
)

func TestReadIndex(t *testing.T) {
	changes, err := recorded.ReadIndex(strings.NewReader("\ufeffpoints,case,erroneous,changed_at\n9,a,1,1496288270\n9,b/c,0,1496288270.5\n"), "index.csv")
	require.NoError(t, err)
	require.Equal(t, []recorded.Change{
		{Case: "a", At: time.Unix(1496288270, 0).UTC(), Erroneous: true, Labelled: true},
		{Case: "b/c", At: time.Unix(1496288270, 5e8).UTC(), Labelled: true},
	}, changes)
	changes, err = recorded.ReadIndex(strings.NewReader("case,changed_at\nx,0\n"), "index.csv")
	require.NoError(t, err)
	require.Equal(t, []recorded.Change{{Case: "x", At: time.Unix(0, 0).UTC()}}, changes)
}

func TestReadIndexNamesFileLineAndValue(t *testing.T) {
	for text, want := range map[string]string{
		"":                               `index.csv: is empty: want a header with case, changed_at`,
		"case,at\na,1\n":                 `index.csv:1: no column "changed_at" (got "case,at")`,
		"case,changed_at\na,soon\n":      `index.csv:2: changed_at: want Unix seconds (got "soon")`,
		"case,changed_at\na,1\nb,-1\n":   `index.csv:3: changed_at: want Unix seconds (got "-1")`,
		"case,changed_at\n../secret,1\n": `index.csv:2: case: want the name of a series in the folder (got "../secret")`,
		"case,changed_at\n,1\n":          `index.csv:2: case: want the name of a series in the folder (got "")`,
		"case,changed_at,erroneous\na,1,perhaps\n": `index.csv:2: erroneous: want 0 or 1 (got "perhaps")`,
		"case,changed_at\na\n":                     `index.csv: record on line 2: wrong number of fields`,
	} {
		_, err := recorded.ReadIndex(strings.NewReader(text), "index.csv")
		require.EqualError(t, err, want)
	}
}

func TestReadSeries(t *testing.T) {
	points, err := recorded.ReadSeries(strings.NewReader("timestamp,value,host\n60,1.5,a\n120,,a\n180,NaN,a\n"), "s.csv")
	require.NoError(t, err)
	require.Len(t, points, 3)
	require.Equal(t, time.Unix(60, 0).UTC(), points[0].At)
	require.InDelta(t, 1.5, points[0].Value, 0)
	require.True(t, math.IsNaN(points[1].Value), "an empty value was not measured")
	require.True(t, math.IsNaN(points[2].Value))

	for text, want := range map[string]string{
		"timestamp,value\n":                `s.csv: holds no points`,
		"timestamp,value\n60,1\n120,ten\n": `s.csv:3: value: want a number (got "ten")`,
		"timestamp,value\nnoon,1\n":        `s.csv:2: timestamp: want Unix seconds (got "noon")`,
		"time,value\n60,1\n":               `s.csv:1: no column "timestamp" (got "time,value")`,
	} {
		_, err := recorded.ReadSeries(strings.NewReader(text), "s.csv")
		require.EqualError(t, err, want)
	}
}

func TestOpenCase(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err := z.Write([]byte("timestamp,value\n60,1\n"))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	fsys := fstest.MapFS{
		"packed.csv.gz": {Data: packed.Bytes()},
		"plain.csv":     {Data: []byte("timestamp,value\n60,2\n")},
		"torn.csv.gz":   {Data: packed.Bytes()[:packed.Len()-12]},
		"false.csv.gz":  {Data: []byte("timestamp,value\n60,2\n")},
	}
	points, err := recorded.OpenCase(fsys, "packed")
	require.NoError(t, err)
	require.InDelta(t, 1, points[0].Value, 0)
	points, err = recorded.OpenCase(fsys, "plain")
	require.NoError(t, err)
	require.InDelta(t, 2, points[0].Value, 0)

	_, err = recorded.OpenCase(fsys, "none")
	require.EqualError(t, err, "none.csv.gz: there is no such file, and no none.csv")
	_, err = recorded.OpenCase(fsys, "torn")
	require.ErrorContains(t, err, "torn.csv.gz: unexpected EOF")
	_, err = recorded.OpenCase(fsys, "false")
	require.ErrorContains(t, err, "false.csv.gz: unpack: gzip: invalid header")
}
