package mcpserver_test

import (
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/internal/filetest"
	"github.com/spanbucket/spanbucketexporter/mcpserver"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// startHere serves in this process, where the race detector and the search for
// goroutines that are left see the server too.
func startHere(t *testing.T, path string) *mcp.ClientSession {
	t.Helper()
	toServer, fromClient := io.Pipe()
	toClient, fromServer := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- mcpserver.Serve(context.Background(), mcpserver.Options{Path: path, Version: "v0.0.0-test", Now: time.Now}, toServer, fromServer)
	}()
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	session, err := client.Connect(t.Context(), &mcp.IOTransport{Reader: toClient, Writer: fromClient}, nil)
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = session.Close()
		require.NoError(t, <-ended)
	})
	return session
}

// Many calls at once, hostile ones among them, while a collector writes the file:
// each gets its answer, and every answer about all requests is one state.
func TestCallsAtOnceWhileTheFileIsWritten(t *testing.T) {
	path := makeFile(t)
	session := startHere(t, path)
	s, err := storage.Open(t.Context(), filetest.Options(path, filetest.Begin.Add(time.Hour)))
	require.NoError(t, err)
	written := make(chan error, 1)
	stop := make(chan struct{})
	go func() {
		observations := filetest.Traffic(50)
		for {
			delta := aggregator.NewDelta(storage.FinestWidths(filetest.Widths()))
			for i := range observations {
				delta.Fold(&observations[i])
			}
			select {
			case <-stop:
				written <- nil
				return
			default:
			}
			if err := s.Write(context.Background(), storage.Batch{Delta: delta}); err != nil {
				written <- err
				return
			}
		}
	}()
	const sums = "SELECT (SELECT sum(requests_total) FROM timeseries WHERE width_s = 1) - (SELECT sum(requests_total) FROM timeseries WHERE width_s = 3600)"
	var all sync.WaitGroup
	for i := range 24 {
		all.Go(func() {
			tool, arguments, want := "query", map[string]any{"sql": sums}, `{"columns":["`
			switch i % 3 {
			case 1:
				tool, arguments, want = "errors", nil, `"requests":`
			case 2:
				arguments, want = map[string]any{"sql": "PRAGMA query_only = off"}, "not allowed"
			}
			result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: arguments})
			if err != nil || len(result.Content) != 1 {
				t.Errorf("%s: %v", tool, err)
				return
			}
			text := result.Content[0].(*mcp.TextContent).Text
			if !strings.Contains(text, want) {
				t.Errorf("%s: %s", tool, text)
			}
			if i%3 == 0 && !strings.Contains(text, `"rows":[[0]]`) {
				t.Errorf("parts and whole differ: %s", text)
			}
		})
	}
	all.Wait()
	close(stop)
	require.NoError(t, <-written)
	require.NoError(t, s.Close())
}
