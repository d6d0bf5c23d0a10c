package storage

import (
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
	"modernc.org/sqlite"
)

func TestEnginesThatDamageFilesAreRefused(t *testing.T) {
	for version, want := range map[string]string{
		"3.51.2": "WAL-reset bug", "3.50.9": "WAL-reset bug", "2.99.99": "WAL-reset bug", "3.51": "three numbers", "": "three numbers",
		"3.51.x": "invalid syntax",
		"3.51.3": "", "3.51.10": "", "3.52.0": "", "3.100.0": "", "4.0.0": "", "3.53.4.1": "",
	} {
		if err := checkEngineVersion(version); want == "" {
			require.NoError(t, err, version)
		} else {
			require.ErrorContains(t, err, want, version)
		}
	}
}

func TestBuildsWithAnotherLibcAreReported(t *testing.T) {
	build := func(path, version string, replace *debug.Module) *debug.BuildInfo {
		return &debug.BuildInfo{Deps: []*debug.Module{
			{Path: "modernc.org/sqlite", Version: "v1.60.1"}, {Path: path, Version: version, Replace: replace},
		}}
	}
	require.NoError(t, checkLibc(nil))
	require.NoError(t, checkLibc(&debug.BuildInfo{}), "a program that lists no modules")
	require.NoError(t, checkLibc(build(libcModule, testedLibc, nil)))
	require.NoError(t, checkLibc(build("modernc.org/libcurl", "v9.9.9", nil)))
	const help = "go get modernc.org/libc@" + testedLibc
	require.ErrorContains(t, checkLibc(build(libcModule, "v9.9.9", nil)), help)
	require.ErrorContains(t, checkLibc(build(libcModule, testedLibc, &debug.Module{Path: "example.com/libc", Version: testedLibc})), help)
	require.NoError(t, checkLibc(build(libcModule, "v9.9.9", &debug.Module{Path: libcModule, Version: testedLibc})))
}

// TestTestedLibcIsThePinnedOne: the engine was translated for one version.
func TestTestedLibcIsThePinnedOne(t *testing.T) {
	content, err := os.ReadFile(filepath.Join("..", "go.mod"))
	require.NoError(t, err)
	version := regexp.MustCompile(`(?m)^\s*modernc\.org/libc (\S+)`).FindSubmatch(content)
	require.NotNil(t, version)
	require.Equal(t, testedLibc, string(version[1]))
}

func TestLocksOfTheProcessAreReported(t *testing.T) {
	require.NoError(t, checkLocking("linux", true))
	require.NoError(t, checkLocking("darwin", false), "it never had them")
	require.Error(t, checkLocking("linux", false))
	o, log := loggedOptions(t)
	require.NoError(t, openStore(t, o).Close())
	require.NoError(t, checkLocking("linux", sqlite.OFDLockingEnabled()))
	require.Empty(t, log.of(EventEngine))
}
