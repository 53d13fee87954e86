package verifier

import (
	"encoding/json"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestFiniteLooksAtEveryNumber: a field that Finite forgets would be found out
// only when the verdict can't be stored.
func TestFiniteLooksAtEveryNumber(t *testing.T) {
	full := func() *Finding {
		return &Finding{
			Before: new(float64), Expected: new(float64), After: new(float64), Matters: Matters{Limit: new(float64)}, Chance: new(Chance),
			Onset: new(time.Time), Control: &ControlFinding{Before: new(float64), After: new(float64)}, Votes: new(VoteFinding),
		}
	}
	require.True(t, full().Finite())
	require.True(t, Finding{}.Finite())
	n := len(numbersOf(reflect.ValueOf(full()).Elem()))
	require.GreaterOrEqual(t, n, 11)
	for i := range n {
		for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
			f := full()
			numbersOf(reflect.ValueOf(f).Elem())[i].SetFloat(bad)
			_, err := json.Marshal(f)
			require.Error(t, err)
			require.False(t, f.Finite(), "%+v", f)
		}
	}
}

// numbersOf returns every float within v. A pointer that is nil fails the test:
// there may be one behind it.
func numbersOf(v reflect.Value) (out []reflect.Value) {
	switch v.Kind() {
	case reflect.Float64:
		return []reflect.Value{v}
	case reflect.Pointer:
		return numbersOf(v.Elem())
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return nil
		}
		for i := range v.NumField() {
			out = append(out, numbersOf(v.Field(i))...)
		}
	case reflect.Invalid:
		panic("the test leaves a pointer nil")
	}
	return out
}
