package report

import (
	"bytes"
	"encoding/json"
	"io"

	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/report/page"
	"github.com/spanbucket/spanbucketexporter/report/tables"
)

// JSON returns the report as one line of JSON. Equal reports have equal JSON.
func (r *Report) JSON() ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(r); err != nil {
		return nil, err
	}
	return tables.CleanJSON(out.Bytes()), nil
}

// WriteJSON writes what JSON returns.
func (r *Report) WriteJSON(w io.Writer) error {
	text, err := r.JSON()
	if err == nil {
		_, err = w.Write(text)
	}
	return err
}

// WriteHTML writes the page of the report: one file that asks nothing of any
// network.
func (r *Report) WriteHTML(w io.Writer) error {
	model, err := r.JSON()
	if err != nil {
		return err
	}
	return page.Write(w, Title, model)
}

// Title is that of every report.
const Title = "Spanbucket report"

// Scope says what the report covers.
func (r *Report) Scope() *analysis.Scope {
	return &analysis.Scope{FromUTC: r.FromUTC, ToUTC: r.ToUTC, Open: r.Open}
}
