package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"

	"github.com/spanbucket/spanbucketexporter/query"
	"github.com/spanbucket/spanbucketexporter/report/tables"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// rowWriter writes the rows of a query, one at a time.
type rowWriter interface {
	head(names []string) error
	row(values []any) error
	flush() error // after the last row
}

// exportFormats are those of export, the default first.
var exportFormats = []string{"csv", "jsonl", "json"}

func newRowWriter(format string, raw bool, w io.Writer) rowWriter {
	switch format {
	case "jsonl":
		return &jsonWriter{to: w}
	case "json":
		return &jsonWriter{to: w, document: true}
	}
	return newCSVWriter(w, raw)
}

// jsonWriter writes rows as JSON objects, each on a line of its own.
type jsonWriter struct {
	to       io.Writer
	document bool   // one object around all rows
	tail     string // of that object: more members, after a comma
	names    [][]byte
	some     bool
	line     bytes.Buffer
}

func (j *jsonWriter) head(names []string) error {
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			return usageError{fmt.Errorf("two columns are called %q, which a JSON object cannot have: name one with AS", name)}
		}
		text, err := marshalText(name)
		if err != nil {
			return err
		}
		j.names = append(j.names, append(text, ':'))
	}
	if !j.document {
		return nil
	}
	_, err := fmt.Fprintf(j.to, "{\"schema_version\":%d,\"rows\":[", jsonSchemaVersion)
	return err
}

func (j *jsonWriter) row(values []any) error {
	j.line.Reset()
	if j.document && j.some {
		j.line.WriteByte(',')
	}
	if j.document {
		j.line.WriteByte('\n')
	}
	j.some = true
	before := byte('{')
	for i, value := range values {
		j.line.WriteByte(before)
		before = ','
		j.line.Write(j.names[i])
		if err := j.value(value); err != nil {
			return err
		}
	}
	j.line.WriteByte('}')
	if !j.document {
		j.line.WriteByte('\n')
	}
	_, err := j.to.Write(j.line.Bytes())
	return err
}

func (j *jsonWriter) value(value any) error {
	switch v := value.(type) {
	case nil:
		j.line.WriteString("null")
	case int64:
		j.line.Write(strconv.AppendInt(j.line.AvailableBuffer(), v, 10))
	case []byte:
		j.line.WriteByte('"')
		j.line.Write(hex.AppendEncode(j.line.AvailableBuffer(), v))
		j.line.WriteByte('"')
	case float64:
		if math.IsInf(v, 0) {
			// JSON has no such number.
			fmt.Fprintf(&j.line, "%q", floatCell(v))
			return nil
		}
		text, err := json.Marshal(v)
		j.line.Write(text)
		return err
	case string:
		text, err := marshalText(v)
		j.line.Write(text)
		return err
	default:
		return fmt.Errorf("a value of type %T", value)
	}
	return nil
}

func (j *jsonWriter) flush() error {
	if !j.document {
		return nil
	}
	_, err := io.WriteString(j.to, "\n]"+j.tail+"}\n")
	return err
}

// marshalText returns text as JSON; invalid UTF-8 becomes U+FFFD.
func marshalText(text string) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(text)
	return tables.CleanJSON(bytes.TrimSuffix(out.Bytes(), []byte("\n"))), err
}

// exportBufferBytes is what is written at once.
const exportBufferBytes = 1 << 16

// rowStream hands the rows of a query to a writer, and counts them.
type rowStream struct {
	rowWriter
	n    int64
	each func(done int64)
}

func (s *rowStream) Head(names []string) error { return s.head(names) }

func (s *rowStream) Row(values []any) error {
	if err := s.row(values); err != nil {
		return err
	}
	s.n++
	s.each(s.n)
	return nil
}

// writeRows writes the rows of a query as they come, and tells after each how many
// there were.
func writeRows(
	ctx context.Context, r *storage.Reader, text string, to io.Writer, form func(io.Writer) rowWriter, each func(done int64),
) (n int64, err error) {
	buffered := bufio.NewWriterSize(to, exportBufferBytes)
	out := &rowStream{rowWriter: form(buffered), each: each}
	if _, err := query.Each(ctx, r, text, query.ForExport(), out); err != nil {
		return out.n, err
	}
	if err := out.flush(); err != nil {
		return out.n, err
	}
	return out.n, buffered.Flush()
}
