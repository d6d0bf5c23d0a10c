package browsertest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// Screenshots of the whole page in every look, to be looked at: in the folder
// SPANBUCKET_SCREENSHOTS, else in one that is removed. That they are not blank
// is all that is checked here.
func TestScreenshots(t *testing.T) {
	folder := os.Getenv("SPANBUCKET_SCREENSHOTS")
	if folder == "" {
		folder = t.TempDir()
	}
	model := plain(t)
	if name := os.Getenv("SPANBUCKET_SCREENSHOT_MODEL"); name != "" {
		var err error
		model, err = os.ReadFile(name)
		require.NoError(t, err)
	}
	address := file(t, "Nightly chaos test", model)
	for _, l := range looks {
		b := open(t, l, address)
		picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(folder, l.String()+".png"), picture, 0o600))
		require.Greater(t, len(picture), 100_000, l)
		b.quiet()
	}
}
