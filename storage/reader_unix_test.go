//go:build unix

package storage_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spanbucket/spanbucketexporter/internal/filetest"
	"github.com/spanbucket/spanbucketexporter/storage"
)

func init() { storage.Elsewhere["read"] = readAndWait }

// readAndWait reads the file args[0] inside a View, says so, and goes on when
// its standard input ends.
func readAndWait(args []string) error {
	r, err := storage.OpenReader(context.Background(), args[0])
	if err != nil {
		fmt.Println("error:", err) // what is asked for
		return nil
	}
	err = r.View(context.Background(), func(tx *sql.Tx) error {
		var n int64
		if err := tx.QueryRow("SELECT count(*) FROM timeseries").Scan(&n); err != nil {
			return err
		}
		fmt.Println("rows:", n)
		_, err := io.Copy(io.Discard, os.Stdin)
		return err
	})
	fmt.Println("changed:", errors.Is(err, storage.ErrChanged), "error:", err)
	return r.Close()
}

// readElsewhere starts readAndWait as a user who may write nothing of ours. It
// returns the first line, and a function that lets the child go on and returns
// the second.
func readElsewhere(t *testing.T, path string) (first string, finish func() string) {
	t.Helper()
	cmd := storage.CommandOfNobody(t, "read", path)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	lines.Scan()
	return lines.Text(), func() string {
		if err := in.Close(); err != nil {
			t.Error(err)
		}
		lines.Scan()
		second := lines.Text()
		for lines.Scan() {
			continue
		}
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
		return second
	}
}

// sealed makes a copy of the good file that the reader may not write.
func sealed(t *testing.T, file, folder os.FileMode) string {
	t.Helper()
	path := copyOfGood(t)
	chmod(t, path, file, folder)
	t.Cleanup(func() { chmod(t, path, 0o600, 0o755) })
	return path
}

func chmod(t *testing.T, path string, file, folder os.FileMode) {
	t.Helper()
	if err := errors.Join(os.Chmod(path, file), os.Chmod(filepath.Dir(path), folder)); err != nil {
		t.Fatal(err)
	}
}

func TestReaderOfAFileAtRest(t *testing.T) {
	for _, c := range []struct {
		name         string
		file, folder os.FileMode
	}{
		{"read-only folder", 0o444, 0o555}, {"read-only file in a writable folder", 0o444, 0o777},
		{"writable file in a read-only folder", 0o666, 0o555},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := sealed(t, c.file, c.folder)
			first, finish := readElsewhere(t, path)
			if !strings.HasPrefix(first, "rows: ") {
				t.Fatal(first)
			}
			if got := names(t, filepath.Dir(path)); !slices.Equal(got, []string{"copy.db"}) {
				t.Errorf("made beside the file: %q", got)
			}
			if second := finish(); second != "changed: false error: <nil>" {
				t.Error(second)
			}
			if got := names(t, filepath.Dir(path)); !slices.Equal(got, []string{"copy.db"}) {
				t.Errorf("left behind: %q", got)
			}
		})
	}
}

func TestReaderNoticesAWriterWhoComesLater(t *testing.T) {
	path := sealed(t, 0o444, 0o555)
	first, finish := readElsewhere(t, path)
	if !strings.HasPrefix(first, "rows: ") {
		t.Fatal(first)
	}
	chmod(t, path, 0o644, 0o755)
	filetest.Write(t, filetest.Options(path, filetest.Begin.Add(time.Hour)), filetest.Traffic(10))
	if second := finish(); !strings.HasPrefix(second, "changed: true") {
		t.Error(second)
	}
}

func TestReaderBesideAWriterOfAnotherUser(t *testing.T) {
	path := sealed(t, 0o644, 0o755)
	s, err := storage.Open(context.Background(), filetest.Options(path, filetest.Begin.Add(time.Hour)))
	if err != nil {
		t.Fatal(err)
	}
	first, finish := readElsewhere(t, path)
	if !strings.HasPrefix(first, "rows: ") {
		t.Error(first)
	}
	if second := finish(); second != "changed: false error: <nil>" {
		t.Error(second)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := names(t, filepath.Dir(path)); !slices.Equal(got, []string{"copy.db"}) {
		t.Errorf("left behind: %q", got)
	}
}

func TestReaderRefusesHalfAFile(t *testing.T) {
	path := sealed(t, 0o444, 0o555)
	if err := os.Chmod(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+"-wal", []byte("committed spans"), 0o444); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(path), 0o555); err != nil {
		t.Fatal(err)
	}
	first, finish := readElsewhere(t, path)
	finish()
	if !strings.Contains(first, "15 bytes of it are still in copy.db-wal") {
		t.Error(first)
	}
}
