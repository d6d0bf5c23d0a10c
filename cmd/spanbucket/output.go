package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/report/tables"
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
	_, err := w.Write(tables.CleanJSON(out.Bytes()))
	return err
}

// answerForms write an answer in the formats other than JSON.
type answerForms struct{ csv, text func() error }

// writeAnswer writes an answer about a scope in one of the formats. Where
// nothing was found it returns the error that says so: JSON and CSV are written
// all the same, text is not.
func (p *program) writeAnswer(format string, answer any, scope *analysis.Scope, found bool, forms answerForms) (err error) {
	p.talk(scope, format == "text" && found)
	switch {
	case format == "json":
		err = writeJSON(p.stdout, answer)
	case format == "csv":
		err = forms.csv()
	case found:
		err = forms.text()
	}
	if !found {
		return finish(err, p.noData(scope))
	}
	return err
}
