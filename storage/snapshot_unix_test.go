//go:build unix

package storage_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/storage"
)

func init() { storage.Elsewhere["snapshot"] = snapshotOf }

// snapshotOf copies the file args[0] to args[1].
func snapshotOf(args []string) error {
	r, err := storage.OpenReader(context.Background(), args[0])
	if err != nil {
		return err
	}
	_, err = r.Snapshot(context.Background(), args[1], storage.SnapshotOptions{})
	return errors.Join(err, r.Close())
}

func TestSnapshotOfAFileThatCannotBeWritten(t *testing.T) {
	folder := t.TempDir()
	require.NoError(t, os.Chmod(folder, 0o777))
	copied := filepath.Join(folder, "snapshot.db")
	output, err := storage.CommandOfNobody(t, "snapshot", sealed(t, 0o444, 0o555), copied).CombinedOutput()
	require.NoError(t, err, "%s", output)
	requireClean(t, copied)
}
