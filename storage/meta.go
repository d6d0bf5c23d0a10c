package storage

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// Meta is what a file says about itself.
type Meta struct {
	SchemaVersion int64
	WriterID      string // 32 hexadecimal digits
	WriterVersion string
	CreatedUTC    string // YYYY-MM-DDTHH:MM:SSZ
	Version       int64  // number of the last commit
	PrecisionBits int64  // of the histograms
	Widths        []Width
	SettleAfter   time.Duration
	// Headline are the categories whose spans are the requests of the file.
	Headline []aggregator.Category
}

// widthText is a width as meta holds it.
type widthText struct {
	WidthS     int64  `json:"width_s"`
	RetentionS int64  `json:"retention_s"` // 0: for ever
	Detail     string `json:"detail"`
}

// Querier is what *sql.DB, *sql.Conn and *sql.Tx have in common.
type Querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// ReadMeta reads the relation meta. A row that is missing or malformed is an
// error that names it.
func ReadMeta(ctx context.Context, q Querier) (*Meta, error) {
	values, err := metaValues(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("read meta: %w", err)
	}
	m, err := parseMeta(values)
	if err != nil {
		return nil, fmt.Errorf("read meta: %w", err)
	}
	return m, nil
}

func metaValues(ctx context.Context, q Querier) (map[string]string, error) {
	rows, err := q.QueryContext(ctx, "SELECT key, value FROM meta")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	values := map[string]string{}
	for rows.Next() {
		var key, value string
		if err := rows.Scan(&key, &value); err != nil {
			return nil, err
		}
		values[key] = value
	}
	return values, rows.Err()
}

func parseMeta(values map[string]string) (*Meta, error) {
	m := &Meta{WriterID: values["writer_id"], WriterVersion: values["writer_version"], CreatedUTC: values["created_utc"]}
	return m, m.parse(values)
}

func (m *Meta) parse(values map[string]string) error {
	var settle int64
	for _, number := range []struct {
		key  string
		into *int64
	}{
		{"schema_version", &m.SchemaVersion}, {"version", &m.Version},
		{"histogram_precision_bits", &m.PrecisionBits}, {"settle_after_s", &settle},
	} {
		n, err := strconv.ParseInt(values[number.key], 10, 64)
		if err != nil {
			return fmt.Errorf("%s: %q is not an integer", number.key, values[number.key])
		}
		*number.into = n
	}
	m.SettleAfter = time.Duration(settle) * time.Second
	var widths []widthText
	if err := json.Unmarshal([]byte(values["widths"]), &widths); err != nil {
		return fmt.Errorf("widths: %w", err)
	}
	for _, w := range widths {
		detail := DetailSeries
		if w.Detail == DetailHeadline.String() {
			detail = DetailHeadline
		}
		if w.WidthS <= 0 {
			return fmt.Errorf("widths: width_s must be positive, got %d", w.WidthS)
		}
		m.Widths = append(m.Widths, Width{w.WidthS, time.Duration(w.RetentionS) * time.Second, detail})
	}
	for _, name := range strings.Split(values["headline_category"], ",") {
		c, ok := aggregator.ParseCategory(name)
		if !ok {
			return fmt.Errorf("headline_category: unknown category %q", name)
		}
		m.Headline = append(m.Headline, c)
	}
	return nil
}
