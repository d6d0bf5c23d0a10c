package main

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/internal/filetest"
)

// served is the program serving, as a process of its own.
type served struct {
	t       *testing.T
	cmd     *exec.Cmd
	address string // http://127.0.0.1:PORT/
	hint    string // what the address ends in
	stderr  *bufio.Reader
}

func startServe(t *testing.T, environment []string, args ...string) *served {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	s := &served{t: t, cmd: exec.Command(self)}
	s.cmd.Args = append([]string{"spanbucket", "serve", "--listen", "127.0.0.1:0"}, args...) // see testscript.Main
	s.cmd.Env = append(os.Environ(), append(environment, nowVariable+"="+filetest.Begin.Add(2*time.Hour).Format(time.RFC3339))...)
	stderr, err := s.cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, s.cmd.Start())
	t.Cleanup(func() { _ = s.cmd.Process.Kill() })
	s.stderr = bufio.NewReader(stderr)
	line, err := s.stderr.ReadString('\n')
	require.NoError(t, err)
	s.address, s.hint, _ = strings.Cut(strings.TrimSpace(strings.TrimPrefix(line, "serving ")), "?")
	require.True(t, strings.HasPrefix(s.address, "http://127.0.0.1:"), line)
	return s
}

// get returns the status and the body of an answer.
func (s *served) get(path string, header http.Header) (int, string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.address+path, nil)
	require.NoError(s.t, err)
	for name, values := range header {
		r.Header[name] = values
	}
	answer, err := http.DefaultClient.Do(r)
	require.NoError(s.t, err)
	body, err := io.ReadAll(answer.Body)
	require.NoError(s.t, err)
	require.NoError(s.t, answer.Body.Close())
	return answer.StatusCode, string(body)
}

// stop ends the program, which must take it well.
func (s *served) stop(signal os.Signal) {
	s.t.Helper()
	require.NoError(s.t, s.cmd.Process.Signal(signal))
	rest, err := io.ReadAll(s.stderr)
	require.NoError(s.t, err)
	require.NoError(s.t, s.cmd.Wait())
	require.Equal(s.t, "exit 0\n", string(rest))
}

// The page and its data, until the program is told to end.
func TestServeUntilASignal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "demo.db")
	filetest.Write(t, filetest.Options(path, filetest.Begin.Add(time.Hour)), filetest.Traffic(500))
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		s := startServe(t, nil, "--db", path)
		status, body := s.get("", nil)
		require.Equal(t, http.StatusOK, status)
		require.True(t, strings.HasPrefix(body, "<!doctype html>"))
		status, body = s.get("report.json", nil)
		require.Equal(t, http.StatusOK, status)
		require.True(t, strings.HasPrefix(body, `{"schema_version":1,`), body)
		require.NotContains(t, body, path)
		s.stop(signal)
	}
	left, err := filepath.Glob(path + "-*")
	require.NoError(t, err)
	require.Empty(t, left, "what SQLite puts beside a file is gone")
}

func TestServeWithAToken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "demo.db")
	filetest.Write(t, filetest.Options(path, filetest.Begin.Add(time.Hour)), filetest.Traffic(100))
	const token = "a-secret-of-enough-letters"
	s := startServe(t, []string{tokenVariable + "=" + token}, "--db", path)
	require.Equal(t, "token=TOKEN", s.hint, "the token itself is not shown")
	status, _ := s.get("report.json", nil)
	require.Equal(t, http.StatusUnauthorized, status)
	status, _ = s.get("report.json", http.Header{"Authorization": {"Bearer " + token}})
	require.Equal(t, http.StatusOK, status)
	s.stop(os.Interrupt)
}
