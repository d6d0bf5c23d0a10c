package main

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// parseWindowsCSV reads rows under a line of names. Values may be padded with
// spaces, as people align them.
func parseWindowsCSV(text []byte) (rows []windowRow, problems []windowProblem) {
	in := csv.NewReader(bytes.NewReader(text))
	in.FieldsPerRecord = -1 // counted here, to go on after a wrong number
	in.TrimLeadingSpace = true
	columns, err := in.Read()
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	if err != nil {
		return nil, []windowProblem{syntaxCSV(err)}
	}
	if problems = checkHeader(in, columns); len(problems) > 0 {
		return nil, problems
	}
	for {
		values, err := in.Read()
		if errors.Is(err, io.EOF) {
			return rows, problems
		}
		if err != nil {
			return rows, append(problems, syntaxCSV(err))
		}
		line, _ := in.FieldPos(0)
		if len(values) != len(columns) {
			problems = append(problems, windowProblem{line, "", fmt.Sprintf("%d values", len(values)),
				fmt.Sprintf("must be %d, one for each name in line 1", len(columns))})
			continue
		}
		row := windowRow{line: line, cells: map[string]cell{}}
		for i, value := range values {
			if value = strings.TrimSpace(value); value != "" {
				line, _ := in.FieldPos(i)
				row.cells[columns[i]] = cell{line: line, text: value}
			}
		}
		rows = append(rows, row)
	}
}

// checkHeader checks the names, and takes the spaces off them.
func checkHeader(in *csv.Reader, columns []string) (problems []windowProblem) {
	line, _ := in.FieldPos(0)
	for i := range columns {
		columns[i] = strings.TrimSpace(columns[i])
		problems = append(problems, isColumn(line, columns[i])...)
		if slices.Contains(columns[:i], columns[i]) {
			problems = append(problems, windowProblem{line, "", quoted(columns[i]), "stands there twice"})
		}
	}
	for _, column := range []string{"fault", "start", "end"} {
		if !slices.Contains(columns, column) && (column == "fault" || !slices.Contains(columns, column+"_ns")) {
			problems = append(problems, windowProblem{line, column, "none", "must be among the names in the first line"})
		}
	}
	return problems
}

// syntaxCSV names a line after which nothing can be read.
func syntaxCSV(err error) windowProblem {
	var e *csv.ParseError
	if errors.As(err, &e) {
		return windowProblem{e.Line, "", "", fmt.Sprintf("column %d: %v; nothing is read after it", e.Column, e.Err)}
	}
	return windowProblem{rule: err.Error()}
}
