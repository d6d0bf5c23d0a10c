package experiment

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestThePageHasThePrices that the program has.
func TestThePageHasThePrices(t *testing.T) {
	page, err := os.ReadFile("../../docs/stress.md")
	require.NoError(t, err)
	require.Contains(t, string(page), "```yaml"+ownExporter+"```\n")
}
