package recording

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

// File is a recording to read.
type File struct {
	Name string
	Open func() (io.ReadCloser, error)
}

// Writer makes a batch durable, or returns an error after which nothing more is
// to be written. It is safe for concurrent use, as *folding.Folder is.
type Writer interface {
	Write(ctx context.Context, batch ptrace.Traces) error
}

// Problem is something in a file that could not be read.
type Problem struct {
	File string `json:"file"`
	// Line counts from 1 in texts; 0 elsewhere.
	Line int64 `json:"line,omitempty"`
	// Offset is where it begins, in bytes, decompressed.
	Offset int64  `json:"offset"`
	Reason string `json:"reason"`
}

// String returns the problem in one line.
func (p Problem) String() string {
	if p.Line > 0 {
		return fmt.Sprintf("%s: line %d: %s", p.File, p.Line, p.Reason)
	}
	return fmt.Sprintf("%s: byte %d: %s", p.File, p.Offset, p.Reason)
}

// Options say how recordings are read.
type Options struct {
	// Workers is how many goroutines decode and fold; at least 1.
	Workers int
	// Strict ends the import at the first problem.
	Strict bool
	// OnProblem is told of every problem, and OnProgress of how far it is, both
	// in the goroutine of the caller. nil: nobody is told.
	OnProblem  func(Problem)
	OnProgress func(Progress)
}

// Progress is how far an import is.
type Progress struct {
	Bytes    int64 // that were read of the files, as they are
	Messages int64 // that were decoded
	Spans    int64 // that are durable, or were there already
	Problems int64
}

// ErrStrict is returned by Import for a problem where Options.Strict is set.
var ErrStrict = errors.New("the recording has a problem")

// Import reads files one after another and writes their spans. What cannot be
// read is left out and reported. The error is one of the writer, ErrStrict, or
// that of the context; what was written until then stays. An import that ends
// early does not wait for a file that it is reading, which may be a pipe: that
// one is closed once its Open or Read returns.
func Import(ctx context.Context, files []File, to Writer, o Options) (Progress, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	i := &importer{files: files, to: to, strict: o.Strict, work: make(chan chunk), done: make(chan outcome)}
	var running sync.WaitGroup
	go i.readAll(ctx)
	for range max(1, o.Workers) {
		running.Go(func() { i.writeAll(ctx) })
	}
	go func() {
		running.Wait()
		close(i.done)
	}()
	var p Progress
	var failed error
	for d := range i.done {
		p.Messages += d.messages
		p.Spans += d.spans
		p.Bytes = i.bytes.Load()
		if failed != nil {
			continue // the others end
		}
		p.Problems += int64(len(d.problems))
		if failed = d.report(&o); failed != nil {
			cancel()
		} else if o.OnProgress != nil {
			o.OnProgress(p)
		}
	}
	if failed == nil {
		failed = ctx.Err()
	}
	return p, failed
}

// chunk is some messages of a file that are written together, or what is wrong
// with it.
type chunk struct {
	file     string
	messages []message
	problem  *Problem
}

// outcome is what became of a chunk.
type outcome struct {
	messages, spans int64
	problems        []Problem
	err             error // of the writer
}

// report tells of the problems and returns the error that ends the import.
func (d *outcome) report(o *Options) error {
	for _, problem := range d.problems {
		if o.OnProblem != nil {
			o.OnProblem(problem)
		}
		if o.Strict {
			return errors.Join(fmt.Errorf("%w: %v", ErrStrict, problem), d.err)
		}
	}
	return d.err
}

type importer struct {
	files  []File
	to     Writer
	strict bool
	work   chan chunk
	done   chan outcome
	bytes  atomic.Int64
}

// chunkBytes is how much is written together: about two thousand spans, so that
// a commit has many also where each message has one.
const chunkBytes = 1 << 20

// readAll cuts the files into chunks.
func (i *importer) readAll(ctx context.Context) {
	defer close(i.work)
	for _, file := range i.files {
		if err := i.read(ctx, file); err != nil && ctx.Err() == nil {
			problem := Problem{File: file.Name, Reason: err.Error()}
			var end *endError
			if errors.As(err, &end) {
				problem.Line, problem.Offset = end.place.line, end.place.offset
			}
			i.hand(ctx, chunk{problem: &problem})
		}
	}
}

func (i *importer) read(ctx context.Context, file File) (err error) {
	in, err := file.Open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	next, size := chunk{file: file.Name}, 0
	err = messages(&countingReader{in, &i.bytes}, func(m message) bool {
		next.messages = append(next.messages, m)
		if size += len(m.data); size < chunkBytes {
			return true
		}
		ok := i.hand(ctx, next)
		next, size = chunk{file: file.Name}, 0
		return ok
	})
	if len(next.messages) > 0 {
		i.hand(ctx, next)
	}
	return err
}

// hand returns false where nobody wants more.
func (i *importer) hand(ctx context.Context, c chunk) bool {
	select {
	case i.work <- c:
		return true
	case <-ctx.Done():
		return false
	}
}

func (i *importer) writeAll(ctx context.Context) {
	for {
		select {
		case c, more := <-i.work:
			if !more {
				return
			}
			i.done <- i.write(ctx, &c)
		case <-ctx.Done():
			return
		}
	}
}

// write decodes a chunk and writes what can be read of it.
func (i *importer) write(ctx context.Context, c *chunk) (o outcome) {
	if c.problem != nil {
		return outcome{problems: []Problem{*c.problem}}
	}
	all := ptrace.NewTraces()
	for _, m := range c.messages {
		batch, err := decode(m)
		if err != nil {
			o.problems = append(o.problems, Problem{c.file, m.place.line, m.place.offset, err.Error()})
			if i.strict {
				break // what stands before it is written
			}
			continue
		}
		o.messages++
		batch.ResourceSpans().MoveAndAppendTo(all.ResourceSpans())
	}
	n := int64(all.SpanCount())
	if n == 0 {
		return o
	}
	if o.err = i.to.Write(ctx, all); o.err == nil {
		o.spans = n
	}
	return o
}

// countingReader counts what is read.
type countingReader struct {
	io.Reader
	bytes *atomic.Int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.bytes.Add(int64(n))
	return n, err
}
