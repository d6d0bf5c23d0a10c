//go:build unix

package storage

import (
	"context"
	"os"
	osexec "os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// CommandElsewhere returns a process that does one of Elsewhere. It is killed
// after a minute.
func CommandElsewhere(t *testing.T, what string, args ...string) *osexec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	cmd := osexec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), ElsewhereVariable+"="+what)
	return cmd
}

// CommandOfNobody is CommandElsewhere as a user who owns nothing, where this one
// may do everything. The folder of the database lets others in as it says; that
// around it lets them pass.
func CommandOfNobody(t *testing.T, what, database string, args ...string) *osexec.Cmd {
	t.Helper()
	program := filepath.Join(t.TempDir(), "elsewhere")
	content, err := os.ReadFile(os.Args[0])
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(program, content, 0o755))
	cmd := CommandElsewhere(t, what, append([]string{database}, args...)...)
	cmd.Path, cmd.Dir = program, "/"
	if os.Geteuid() == 0 {
		const nobody = 65534
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		// t.TempDir is closed to others.
		for _, folder := range []string{filepath.Dir(filepath.Dir(program)), filepath.Dir(filepath.Dir(database))} {
			require.NoError(t, os.Chmod(folder, 0o755))
		}
	}
	return cmd
}
