package main

import (
	"encoding/csv"
	"encoding/hex"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode"

	"github.com/spanbucket/spanbucketexporter/report/tables"
)

// writeCSV writes rows under a line of names, safe to open in a spreadsheet and
// to show on a terminal: see safeCell. A nil value is an empty cell.
func writeCSV(w io.Writer, names []string, rows [][]any) error {
	out := newCSVWriter(w, false)
	if err := out.head(names); err != nil {
		return err
	}
	for _, row := range rows {
		if err := out.row(row); err != nil {
			return err
		}
	}
	return out.flush()
}

// csvWriter writes rows as RFC 4180 says, but for the ends of lines: these are
// line feeds.
type csvWriter struct {
	to     *csv.Writer
	direct io.Writer
	cell   func(string) string
	record []string // reused
}

// newCSVWriter returns a writer of safe cells, or of raw ones.
func newCSVWriter(w io.Writer, raw bool) *csvWriter {
	out := &csvWriter{to: csv.NewWriter(w), direct: w, cell: safeCell}
	if raw {
		out.cell = func(text string) string { return text }
	}
	return out
}

func (c *csvWriter) head(names []string) error {
	c.record = c.record[:0]
	for _, name := range names {
		c.record = append(c.record, c.cell(name))
	}
	return c.write()
}

func (c *csvWriter) row(values []any) error {
	c.record = c.record[:0]
	for _, value := range values {
		c.record = append(c.record, csvCell(value, c.cell))
	}
	return c.write()
}

func (c *csvWriter) write() error {
	if len(c.record) == 1 && c.record[0] == "" {
		// An empty line would be no row to those who read it.
		if err := c.flush(); err != nil {
			return err
		}
		_, err := io.WriteString(c.direct, "\"\"\n")
		return err
	}
	return c.to.Write(c.record)
}

func (c *csvWriter) flush() error {
	c.to.Flush()
	return c.to.Error()
}

// csvCell returns a value as text; only what is text passes through the guard.
func csvCell(value any, guard func(string) string) string {
	switch v := value.(type) {
	case string:
		return guard(v)
	case []byte:
		return hex.EncodeToString(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case *int64:
		if v != nil {
			return strconv.FormatInt(*v, 10)
		}
	case float64:
		return floatCell(v)
	case *float64:
		if v != nil {
			return floatCell(*v)
		}
	case *string:
		if v != nil {
			return guard(*v)
		}
	case bool:
		if v {
			return "1"
		}
		return "0"
	}
	return ""
}

// floatCell returns the shortest text that is read back as the same number.
func floatCell(v float64) string {
	switch {
	case math.IsInf(v, 1):
		return "Infinity"
	case math.IsInf(v, -1):
		return "-Infinity"
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

// safeCell returns text as it can be opened in a spreadsheet and shown on a
// terminal: what a spreadsheet could run as a formula gets an apostrophe in
// front, and control characters other than tabs and ends of lines become
// U+FFFD, as do those that change the direction of writing and invalid UTF-8.
func safeCell(text string) string {
	if text == "" {
		return text
	}
	if !tables.IsPlain(text) {
		text = strings.Map(func(r rune) rune {
			if strings.ContainsRune("\t\n\r", r) {
				return r
			}
			if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
				return unicode.ReplacementChar
			}
			return r
		}, text)
	}
	if isFormula(text) {
		return "'" + text
	}
	return text
}

// isFormula tells whether a spreadsheet could take text for a formula: after
// spaces and quotes it begins with one of the signs, also full-width ones, or
// with a tab or the end of a line, which some skip.
func isFormula(text string) bool {
	const tabs = "\t\r\n"
	text = strings.TrimLeftFunc(text, func(r rune) bool {
		return unicode.IsSpace(r) && !strings.ContainsRune(tabs, r) || strings.ContainsRune("'\"`‘’“”＇＂\u200b\ufeff\ufffd", r)
	})
	for _, r := range text {
		return strings.ContainsRune(tabs+"=+-@＝＋－＠﹦﹢﹣﹫−", r)
	}
	return false
}
