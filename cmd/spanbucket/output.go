package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// jsonSchemaVersion is the version of the JSON answers: fields may be added
// under the same number, never renamed or dropped.
const jsonSchemaVersion = 1

// writeJSON writes an answer, an object, with schema_version as its first
// field.
func writeJSON(w io.Writer, answer any) error {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(answer); err != nil {
		return err
	}
	fields, ok := bytes.CutPrefix(body.Bytes(), []byte("{"))
	if !ok {
		return fmt.Errorf("answer %T is no JSON object", answer)
	}
	version := fmt.Appendf(nil, `{"schema_version":%d`, jsonSchemaVersion)
	if fields[0] != '}' {
		version = append(version, ',')
	}
	var out bytes.Buffer
	if err := json.Indent(&out, append(version, fields...), "", "  "); err != nil {
		return err
	}
	_, err := out.WriteTo(w)
	return err
}

// writeCSV writes rows under a line of names, safe to open in a spreadsheet:
// text that a spreadsheet would run as a formula gets a leading apostrophe.
// A nil value is an empty cell.
func writeCSV(w io.Writer, names []string, rows [][]any) error {
	out := csv.NewWriter(w)
	head := make([]string, len(names))
	for i, name := range names {
		head[i] = csvCell(name)
	}
	if err := out.Write(head); err != nil {
		return err
	}
	for _, row := range rows {
		record := make([]string, len(row))
		for i, value := range row {
			record[i] = csvCell(value)
		}
		if err := out.Write(record); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

func csvCell(value any) string {
	switch v := value.(type) {
	case string:
		if v != "" && strings.ContainsRune("=+-@\t\r", rune(v[0])) {
			return "'" + v
		}
		return v
	case int64:
		return strconv.FormatInt(v, 10)
	case *int64:
		if v != nil {
			return strconv.FormatInt(*v, 10)
		}
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case *float64:
		if v != nil {
			return strconv.FormatFloat(*v, 'f', -1, 64)
		}
	case *string:
		if v != nil {
			return csvCell(*v)
		}
	case bool:
		if v {
			return "1"
		}
		return "0"
	}
	return ""
}
