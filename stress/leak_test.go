package stress_test

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain: when all loads have ended nothing goes on.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
