package main

import (
	"debug/buildinfo"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestBinaryHasTheTestedEngine: a collector of many modules could be built with
// another engine than the one that the exporter is tested with, or with another
// libc below it.
func TestBinaryHasTheTestedEngine(t *testing.T) {
	binary, err := buildCollector()
	require.NoError(t, err)
	info, err := buildinfo.ReadFile(binary)
	require.NoError(t, err)
	pinned, err := os.ReadFile(filepath.Join("..", "..", "go.mod"))
	require.NoError(t, err)
	built := map[string]string{}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		built[m.Path] = m.Version
	}
	for _, module := range []string{"modernc.org/sqlite", "modernc.org/libc"} {
		version := regexp.MustCompile(`(?m)^\s*` + regexp.QuoteMeta(module) + ` (\S+)`).FindSubmatch(pinned)
		require.NotNil(t, version, module)
		require.Equal(t, string(version[1]), built[module], module)
	}
}
