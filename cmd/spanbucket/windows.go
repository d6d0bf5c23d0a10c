package main

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/analysis"
)

// windowColumns are the names that a row of a file of fault windows can use.
var windowColumns = []string{"fault", "start", "end", "start_ns", "end_ns", "target", "run_id", "experiment_id"}

// windowProblem is what is wrong with a row.
type windowProblem struct {
	line   int
	column string // empty: the row as a whole
	value  string // with quotes where it is a text
	rule   string
}

func (p windowProblem) String() string {
	text := strconv.Itoa(p.line) + ": "
	for _, part := range []string{p.column, p.value} {
		if part != "" {
			text += part + ": "
		}
	}
	return text + p.rule
}

// cell is one value of a row, with the line that it stands on.
type cell struct {
	line int
	text string
	bare bool // a number: only nanoseconds may be one
}

// windowRow is a row of a file of fault windows. Columns without a value are
// not in it.
type windowRow struct {
	line  int
	cells map[string]cell
}

// parseWindows reads the fault windows of a file, and everything that is wrong
// with it, by line.
func parseWindows(text []byte, format string) ([]aggregator.FaultWindow, []windowProblem) {
	if problems := checkUTF8(text); len(problems) > 0 {
		return nil, problems
	}
	parse := parseWindowsCSV
	if format == "json" {
		parse = parseWindowsJSON
	}
	rows, problems := parse(text)
	var windows []aggregator.FaultWindow
	for _, row := range rows {
		w, wrong := row.window()
		windows, problems = append(windows, w), append(problems, wrong...)
	}
	slices.SortStableFunc(problems, func(a, b windowProblem) int { return a.line - b.line })
	return windows, problems
}

// checkUTF8 names the lines that are in another encoding.
func checkUTF8(text []byte) (problems []windowProblem) {
	line := 0
	for content := range bytes.Lines(text) {
		if line++; !utf8.Valid(content) {
			problems = append(problems, windowProblem{line, "", quoted(string(bytes.TrimSpace(content))), "must be UTF-8"})
		}
	}
	return problems
}

func quoted(text string) string { return fmt.Sprintf("%.60q", text) }

// isColumn checks the name of a column.
func isColumn(line int, name string) []windowProblem {
	if slices.Contains(windowColumns, name) {
		return nil
	}
	return []windowProblem{{line, "", quoted(name), "is no column; must be one of " + strings.Join(windowColumns, ", ")}}
}

// window checks a row and turns it into a window.
func (r *windowRow) window() (w aggregator.FaultWindow, problems []windowProblem) {
	for _, text := range []struct {
		column string
		into   *string
	}{{"fault", &w.Fault}, {"target", &w.Target}, {"run_id", &w.Run}, {"experiment_id", &w.ExperimentID}} {
		given := r.cells[text.column]
		*text.into = given.text
		_, notes := aggregator.CleanText(given.text)
		switch {
		case given.bare:
			problems = append(problems, windowProblem{given.line, text.column, given.text, "must be a text in quotes"})
		case notes != 0:
			problems = append(problems, windowProblem{given.line, text.column, quoted(given.text),
				fmt.Sprintf("must be without NUL and at most %d bytes", aggregator.MaxValueBytes)})
		}
	}
	if w.Fault == "" {
		problems = append(problems, windowProblem{r.line, "fault", `""`, "must name the fault"})
	}
	start, wrong := r.instant("start")
	problems = append(problems, wrong...)
	end, wrong := r.instant("end")
	problems = append(problems, wrong...)
	if start > 0 && end > 0 && end < start {
		problems = append(problems, windowProblem{r.line, "end", instantText(end), "must not be before the start, " + instantText(start)})
	}
	w.StartUnixNano, w.EndUnixNano = start, end
	return w, problems
}

func instantText(unixNano int64) string { return time.Unix(0, unixNano).UTC().Format(time.RFC3339Nano) }

// instant reads a time from one of its two columns; 0 is none.
func (r *windowRow) instant(column string) (int64, []windowProblem) {
	text, inText := r.cells[column]
	nano, inNano := r.cells[column+"_ns"]
	switch {
	case inText == inNano:
		value := "none"
		if inText {
			value = "both"
		}
		return 0, []windowProblem{{r.line, column, value, "must be given, either so or as " + column + "_ns"}}
	case inNano:
		n, err := strconv.ParseInt(nano.text, 10, 64)
		// Seconds or milliseconds by mistake would lie in 1970.
		if err != nil || n < 1e18 {
			return 0, []windowProblem{{nano.line, column + "_ns", quoted(nano.text), "must be Unix nanoseconds, a number of 19 digits"}}
		}
		return n, nil
	}
	t, err := parseTime(text.text, analysis.Extent{})
	if err != nil || strings.HasPrefix(text.text, "+") || t.Year() < 1970 || t.UnixNano() == 0 {
		return 0, []windowProblem{{text.line, column, quoted(text.text),
			fmt.Sprintf("must be like 2026-01-30T10:00:00Z or @1769767200, in the years 1970 to %d", analysis.MaxYear)}}
	}
	return t.UnixNano(), nil
}
