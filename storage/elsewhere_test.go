package storage

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// ElsewhereVariable names, in the environment of a child process, what it does
// in place of the tests.
const ElsewhereVariable = "SPANBUCKET_TEST_ELSEWHERE"

// Elsewhere holds what child processes of the tests do, by name. The arguments
// are those of the command line.
var Elsewhere = map[string]func(args []string) error{}

func TestMain(m *testing.M) {
	do, child := Elsewhere[os.Getenv(ElsewhereVariable)]
	if !child {
		goleak.VerifyTestMain(m)
		return
	}
	if err := do(os.Args[1:]); err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}
