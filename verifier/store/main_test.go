package store_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/postflight/postflight/verifier/store"
	"github.com/postflight/postflight/verifier/store/pgtest"
)

var update = flag.Bool("update", false, "record what replicas run")

// victimEnv names the store that a child process of the tests works on until
// it is killed.
const victimEnv = "POSTFLIGHT_TEST_VICTIM"

func TestMain(m *testing.M) {
	if url := os.Getenv(victimEnv); url != "" {
		victim(url)
		return
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		pgtest.Stop()
		os.Exit(code)
	}))
}

// victim takes deliveries and finishes none.
func victim(url string) {
	s, err := store.Open(context.Background(), url, store.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = s.StartDeliveries(context.Background(), deliverFunc(func(ctx context.Context, id string) (time.Duration, error) {
		fmt.Println(id)
		<-ctx.Done()
		return 0, ctx.Err()
	}), store.DeliveryOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	time.Sleep(time.Minute)
}
