package alerting

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/safety"
)

func TestEndedDeliveryIsLeftAlone(t *testing.T) {
	inBubble(t, map[string]verifier.DeliveryState{"delivered": verifier.DeliveryDelivered, "discarded": verifier.DeliveryDiscarded}, func(t *testing.T, state verifier.DeliveryState) {
		for _, out := range []verifier.Outgoing{rollback(t), message()} {
			out.Delivery.State = state
			b := newBench(out, always(Result{Outcome: Delivered}))
			again, err := b.Deliver(t.Context(), out.Delivery.ID)
			require.NoError(t, err)
			require.Zero(t, again)
			require.Empty(t, b.receiver.sent)
			require.Equal(t, out, b.store.out)
		}
	})
}

func TestAnotherWorkerEndedIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b *bench
		b = newBench(rollback(t), func(context.Context, int) Result {
			b.store.set(func(o *verifier.Outgoing) { o.Delivery.State = verifier.DeliveryDelivered })
			return busy
		})
		b.drive(t)
		require.Equal(t, verifier.DeliveryDelivered, b.store.out.Delivery.State)
		require.Equal(t, []string{"retry"}, b.store.results())
		require.Empty(t, b.store.messages)
	})
}

func TestStoreDownSendsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(rollback(t), always(Result{Outcome: Delivered}))
		b.store.down = func(int) bool { return true }
		_, err := b.Deliver(t.Context(), b.store.out.Delivery.ID)
		require.EqualError(t, err, "begin attempt of delivery "+b.store.out.Delivery.ID+": disk full")
		require.Empty(t, b.receiver.sent)
		require.Empty(t, b.heard.attempts)
	})
}

func TestUnknownDelivery(t *testing.T) {
	b := newBench(message(), always(Result{Outcome: Delivered}))
	_, err := b.Deliver(t.Context(), "dl_9")
	require.Equal(t, verifier.NotFound, verifier.KindOf(err))
}

// TestShutdownIsRecorded: the caller's context ends while the call runs.
func TestShutdownIsRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		b := newBench(rollback(t), func(ctx context.Context, _ int) Result {
			<-ctx.Done()
			return Result{Outcome: Retry, Err: ctx.Err()}
		})
		again, err := b.Deliver(ctx, b.store.out.Delivery.ID)
		require.NoError(t, err)
		require.Positive(t, again)
		require.Equal(t, []string{"retry"}, b.store.results())
		require.Equal(t, verifier.DeliveryRetryable, b.store.out.Delivery.State)
	})
}

// TestALateAttemptSendsNothing: the process stands still between the record of
// an attempt and its call. Another may have taken the delivery over by then.
func TestALateAttemptSendsNothing(t *testing.T) {
	for name, out := range map[string]func(*testing.T) verifier.Outgoing{
		"rollback": rollback, "message": func(*testing.T) verifier.Outgoing { return message() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(out(t), always(Result{Outcome: Delivered}))
				b.store.committed = func(call int) {
					if call == 1 {
						time.Sleep(SendTimeout + time.Second)
					}
				}
				again, err := b.Deliver(t.Context(), b.store.out.Delivery.ID)
				require.NoError(t, err)
				require.Positive(t, again)
				require.Empty(t, b.receiver.sent)
				require.Contains(t, b.store.out.Delivery.Attempts[0].Error, "nothing was sent")
				b.drive(t)
				require.Len(t, b.receiver.sent, 1)
			})
		})
	}
}

func TestCallNeedsARuling(t *testing.T) {
	for name, c := range map[string]struct {
		ruling safety.Ruling
		kind   verifier.DeliveryKind
	}{
		"none":           {safety.Ruling{}, verifier.RollbackDelivery},
		"withheld":       {safety.Ruling{Guard: verifier.GuardMode, Reason: "shadow"}, verifier.RollbackDelivery},
		"not a rollback": {safety.Ruling{Allowed: true}, verifier.MessageDelivery},
	} {
		t.Run(name, func(t *testing.T) {
			receiver := &script{answer: always(Result{Outcome: Delivered})}
			got := call(t.Context(), c.ruling, receiver, verifier.Delivery{Kind: c.kind})
			require.Equal(t, Rejected, got.Outcome)
			require.ErrorContains(t, got.Err, "no ruling allows this call")
			require.Empty(t, receiver.sent)
		})
	}
}

// TestOneFunctionSendsRollbacks reads the package: Send is called in call, and
// in send for what is no rollback, and call is called in send alone.
func TestOneFunctionSendsRollbacks(t *testing.T) {
	names, err := filepath.Glob("*.go")
	require.NoError(t, err)
	callers := map[string][]string{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		require.NoError(t, err)
		for _, decl := range file.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			ast.Inspect(fn, func(n ast.Node) bool {
				expr, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				switch f := expr.Fun.(type) {
				case *ast.SelectorExpr:
					callers[f.Sel.Name] = append(callers[f.Sel.Name], fn.Name.Name)
				case *ast.Ident:
					callers[f.Name] = append(callers[f.Name], fn.Name.Name)
				}
				return true
			})
		}
	}
	require.ElementsMatch(t, []string{"send", "call"}, callers["Send"])
	require.Equal(t, []string{"send"}, callers["call"])
	require.Equal(t, []string{"beginRollback"}, callers["CheckAttempt"])
}
