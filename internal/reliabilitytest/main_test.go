// Package reliabilitytest holds the exporter to its promise, nothing
// acknowledged is lost and nothing is counted twice, under faults: killed
// processes, locks, full disks, flipped bits. A run takes a quick tier of each;
// SPANBUCKET_TIER=long and SPANBUCKET_SOAK=20m take as long as the figures in
// docs/reliability.md ask for.
//
// Every fault has a control: the same run with the protection off, which must
// fail. Without it the test would be no evidence.
package reliabilitytest

import (
	"fmt"
	"os"
	"sync"
	"testing"
)

// roleVariable tells a child process what it is to do. Children are this test
// binary, started again.
const roleVariable = "SPANBUCKET_TEST_ROLE"

// roles are filled by init functions, each beside the test that needs it.
var roles = map[string]func(*orders) error{}

func TestMain(m *testing.M) {
	if name := os.Getenv(roleVariable); name != "" {
		os.Exit(play(name))
	}
	code := m.Run()
	figures.print()
	os.Exit(code)
}

func play(name string) int {
	role, known := roles[name]
	if !known {
		fmt.Fprintf(os.Stderr, "no role %q\n", name)
		return 2
	}
	if err := role(listen(os.Stdin)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// figures are what the tests measured, one line for each.
var figures report

type report struct {
	mu    sync.Mutex
	lines []string
}

// add keeps a line for the end of the run, and logs it with its test.
func (r *report) add(t *testing.T, format string, args ...any) {
	t.Helper()
	line := fmt.Sprintf(format, args...)
	t.Log(line)
	if t.Failed() {
		line += " (FAILED)"
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, line)
}

func (r *report) print() {
	for _, line := range r.lines {
		fmt.Println(line)
	}
}
