// Package seedtest gives property tests their randomness: the same in every
// run, another one on request, and named when a test fails.
//
//	SPANBUCKET_SEED=7 go test ./...       repeats the run with seed 7
//	SPANBUCKET_SEED=random go test ./...  draws a new seed
package seedtest

import (
	"hash/fnv"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
)

const variable = "SPANBUCKET_SEED"

// seed is read in a test, not before: only then does the cache of test results
// know that they depend on the variable.
var seed = sync.OnceValue(func() uint64 {
	switch text := os.Getenv(variable); text {
	case "":
		return 1
	case "random":
		return rand.Uint64()
	default:
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			panic(variable + "=" + text + ": want a number or the word random")
		}
		return n
	}
})

// Rand returns a generator for one test. It depends on the seed and on the name
// of the test only, and a test that fails says how to repeat it.
func Rand(t testing.TB) *rand.Rand {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("to repeat: %s=%d go test -run '^%s$'", variable, seed(), t.Name())
		}
	})
	h := fnv.New64a()
	h.Write([]byte(t.Name()))
	return rand.New(rand.NewPCG(seed(), h.Sum64()))
}
