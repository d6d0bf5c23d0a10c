package recording

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a Writer that keeps the names of spans.
type memory struct {
	mu     sync.Mutex
	names  map[string]int
	writes int
	before func(write int) error
}

func (m *memory) Write(ctx context.Context, batch ptrace.Traces) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.writes++
	if m.before != nil {
		if err := m.before(m.writes); err != nil {
			return err
		}
	}
	for _, r := range batch.ResourceSpans().All() {
		for _, s := range r.ScopeSpans().All() {
			for _, span := range s.Spans().All() {
				m.names[span.Name()]++
			}
		}
	}
	return ctx.Err()
}

func spanLine(name string) string {
	return fmt.Sprintf(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":%q}]}]}]}`, name)
}

func textFile(name string, lines ...string) File {
	return File{Name: name, Open: func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(strings.Join(lines, "\n"))), nil
	}}
}

// manyLines is a recording of several chunks.
func manyLines(n int) (lines []string) {
	for i := range n {
		lines = append(lines, spanLine(fmt.Sprintf("%d %s", i, strings.Repeat("x", 1000))))
	}
	return lines
}

func TestImportWritesEverySpanOnce(t *testing.T) {
	const spans = 5000
	lines := manyLines(spans)
	to := &memory{names: map[string]int{}}
	var last Progress
	done, err := Import(t.Context(), []File{textFile("a", lines[:1000]...), textFile("b"), textFile("c", lines[1000:]...)}, to,
		Options{Workers: 4, OnProgress: func(p Progress) { last = p }})
	require.NoError(t, err)
	require.Equal(t, done, last)
	require.Equal(t, int64(spans), done.Spans)
	require.Equal(t, int64(spans), done.Messages)
	require.Equal(t, int64(len(strings.Join(lines, "\n"))-1), done.Bytes)
	require.Len(t, to.names, spans)
	for name, n := range to.names {
		require.Equal(t, 1, n, name)
	}
	require.Less(t, to.writes, 20, "small messages are written together")
	require.Greater(t, to.writes, 4)
}

func TestImportNamesWhatItCannotRead(t *testing.T) {
	files := []File{
		textFile("a.jsonl", spanLine("1"), "nonsense", spanLine("2"), `{"resourceMetrics":[]}`),
		textFile("b.bin", string(prefix(spanLine("3"), "\n\xff\xff", spanLine("4")))+"\x00\x00\x01"),
		{Name: "gone", Open: func() (io.ReadCloser, error) { return nil, errors.New("it is gone") }},
		{Name: "broken", Open: func() (io.ReadCloser, error) { return io.NopCloser(iotest.ErrReader(errors.New("bad disk"))), nil }},
		textFile("letter", "Dear aunt"),
		textFile("c.jsonl", spanLine("5")),
	}
	to := &memory{names: map[string]int{}}
	found := map[string]string{}
	done, err := Import(t.Context(), files, to, Options{OnProblem: func(p Problem) {
		found[fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Offset)] = p.String()
	}})
	require.NoError(t, err)
	require.Equal(t, map[string]int{"1": 1, "2": 1, "3": 1, "4": 1, "5": 1}, to.names)
	require.Equal(t, int64(7), done.Problems)
	length := len(spanLine("1"))
	for place, want := range map[string]string{
		fmt.Sprintf("a.jsonl:2:%d", length+1):     "a.jsonl: line 2: ",
		fmt.Sprintf("a.jsonl:4:%d", 2*length+11):  "a.jsonl: line 4: it holds resourceMetrics",
		fmt.Sprintf("b.bin:0:%d", 4+length):       "b.bin: byte ",
		fmt.Sprintf("b.bin:0:%d", 3*4+2*length+3): "it ends within the length of a message; nothing is read after it",
		"gone:0:0":   "it is gone",
		"broken:0:0": "bad disk",
		"letter:0:0": "neither JSON nor protobuf",
	} {
		require.Contains(t, found[place], want, "%s of %v", place, found)
	}
}

func TestStrictImportEndsAtTheFirstProblem(t *testing.T) {
	to := &memory{names: map[string]int{}}
	lines := append([]string{spanLine("first"), "nonsense"}, manyLines(10_000)...)
	problems := 0
	done, err := Import(t.Context(), []File{textFile("a", lines...)}, to, Options{Strict: true, OnProblem: func(Problem) { problems++ }})
	require.ErrorIs(t, err, ErrStrict)
	require.ErrorContains(t, err, "a: line 2")
	require.Equal(t, 1, problems)
	require.Positive(t, done.Spans)
	require.Less(t, done.Spans, int64(10_000))
}

// TestStrictImportWritesNothingAfterTheProblem: not even of what is written
// together with what stands before it.
func TestStrictImportWritesNothingAfterTheProblem(t *testing.T) {
	to := &memory{names: map[string]int{}}
	lines := []string{spanLine("first"), "nonsense", spanLine("second"), "nonsense too"}
	done, err := Import(t.Context(), []File{textFile("a", lines...)}, to, Options{Strict: true})
	require.ErrorIs(t, err, ErrStrict)
	require.Equal(t, map[string]int{"first": 1}, to.names)
	require.Equal(t, int64(1), done.Problems)
}

func TestImportEndsWithTheWriter(t *testing.T) {
	errFull := errors.New("disk is full")
	to := &memory{names: map[string]int{}, before: func(write int) error {
		if write > 2 {
			return errFull
		}
		return nil
	}}
	done, err := Import(t.Context(), []File{textFile("a", manyLines(10_000)...)}, to, Options{Workers: 4})
	require.ErrorIs(t, err, errFull)
	require.Equal(t, int64(len(to.names)), done.Spans, "what is reported is written")
	require.Less(t, to.writes, 12)
}

func TestImportEndsWithItsContext(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	to := &memory{names: map[string]int{}, before: func(write int) error {
		if write == 2 {
			stop()
		}
		return nil
	}}
	done, err := Import(ctx, []File{textFile("a", manyLines(10_000)...)}, to, Options{Workers: 2})
	require.ErrorIs(t, err, context.Canceled)
	require.Less(t, done.Spans, int64(10_000))
}

// TestImportDoesNotWaitForAPipe once nobody wants more.
func TestImportDoesNotWaitForAPipe(t *testing.T) {
	in, out := io.Pipe()
	closed := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	file := File{Name: "pipe", Open: func() (io.ReadCloser, error) {
		cancel()
		return closing{in, closed}, nil
	}}
	_, err := Import(ctx, []File{file}, &memory{}, Options{})
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, out.Close())
	<-closed
}

type closing struct {
	io.Reader
	closed chan<- struct{}
}

func (c closing) Close() error {
	close(c.closed)
	return nil
}
