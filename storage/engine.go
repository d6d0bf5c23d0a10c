package storage

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"

	"modernc.org/sqlite"
)

// oldestEngine is the first SQLite without a fault that could corrupt a database
// in WAL mode where two connections wrote or checkpointed at once:
// https://sqlite.org/wal.html#walresetbug.
const oldestEngine = "3.51.3"

// testedLibc is the version of libcModule that the engine was translated and
// tested with; it must be exactly that one. Whoever builds a collector of many
// modules may get a newer one.
const (
	testedLibc = "v1.77.1"
	libcModule = "modernc.org/libc"
)

// checkEngine refuses an engine that is known to damage files, and reports what
// was not tested.
func (f *databaseFile) checkEngine(ctx context.Context) error {
	var version string
	if err := f.conn.QueryRowContext(ctx, "SELECT sqlite_version()").Scan(&version); err != nil {
		return err
	}
	if err := checkEngineVersion(version); err != nil {
		return err
	}
	info, _ := debug.ReadBuildInfo()
	for _, err := range []error{checkLibc(info), checkLocking(runtime.GOOS, sqlite.OFDLockingEnabled())} {
		if err != nil {
			f.report(Event{Kind: EventEngine, Path: f.options.Path, Err: err})
		}
	}
	return nil
}

// checkEngineVersion takes the version as SQLite gives it.
func checkEngineVersion(version string) error {
	have, err := versionNumbers(version)
	if err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	least, err := versionNumbers(oldestEngine)
	if err != nil {
		return err
	}
	for i := range have {
		if have[i] > least[i] {
			return nil
		}
		if have[i] < least[i] {
			return fmt.Errorf("sqlite: version %s can corrupt a file that two connections write (WAL-reset bug), needed %s: "+
				"go get modernc.org/sqlite at a newer version", version, oldestEngine)
		}
	}
	return nil
}

func versionNumbers(version string) (numbers [3]int, err error) {
	parts := strings.Split(version, ".")
	if len(parts) < len(numbers) {
		return numbers, fmt.Errorf("version %q has not three numbers", version)
	}
	for i := range numbers {
		if numbers[i], err = strconv.Atoi(parts[i]); err != nil {
			return numbers, fmt.Errorf("version %q: %w", version, err)
		}
	}
	return numbers, nil
}

// checkLibc compares the libc that a program was built with. nil says nothing,
// as does a program that does not list its modules.
func checkLibc(info *debug.BuildInfo) error {
	if info == nil {
		return nil
	}
	for _, m := range info.Deps {
		if m.Path != libcModule {
			continue
		}
		if m.Replace != nil {
			m = m.Replace
		}
		if m.Path != libcModule || m.Version != testedLibc {
			return fmt.Errorf("built with %s %s, which sqlite was not tested with: go get %s@%s",
				m.Path, m.Version, libcModule, testedLibc)
		}
	}
	return nil
}

// checkLocking tells where SQLite's locks do not survive other code of this
// process that opens the file and closes it.
func checkLocking(goos string, ofd bool) error {
	if goos == "linux" && !ofd {
		return errors.New("the kernel or the file system has no open-file-description locks: " +
			"nothing else in this process may open the file")
	}
	return nil
}
