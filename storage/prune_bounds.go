package storage

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// PruneBounds say what a file may keep.
type PruneBounds struct {
	// Widths, finest first; Retention is how long buckets stay, 0 for ever.
	Widths []Width
	// RequestAge bounds the age of single requests, and of evaluations, circuit
	// states and what they share; 0: no bound.
	RequestAge time.Duration
	// RequestRows bounds the rows of each of these; 0: no bound.
	RequestRows int64
	// Bytes bounds the size of the file without its free pages; 0: no bound.
	Bytes int64
}

func boundsOf(o *Options) PruneBounds {
	return PruneBounds{Widths: o.Widths, RequestAge: o.RequestRetention, RequestRows: o.RequestMaxRows, Bytes: o.MaxSize}
}

// ReadPruneBounds returns the bounds that the last collector to open the file
// was configured with.
func ReadPruneBounds(ctx context.Context, q Querier) (PruneBounds, error) {
	values, err := metaValues(ctx, q)
	if err != nil {
		return PruneBounds{}, fmt.Errorf("read meta: %w", err)
	}
	meta, err := parseMeta(values)
	if err != nil {
		return PruneBounds{}, fmt.Errorf("read meta: %w", err)
	}
	b := PruneBounds{Widths: meta.Widths}
	var seconds int64
	for key, into := range map[string]*int64{"request_retention_s": &seconds, "request_max_rows": &b.RequestRows, "max_size": &b.Bytes} {
		if values[key] == "" { // nobody has opened it since there is such a bound
			continue
		}
		if *into, err = strconv.ParseInt(values[key], 10, 64); err != nil || *into < 0 {
			return PruneBounds{}, fmt.Errorf("read meta: %s: %q is not a number from 0 on", key, values[key])
		}
	}
	b.RequestAge = time.Duration(seconds) * time.Second
	return b, nil
}

// pruneText is PruneBounds as meta holds them while a collector is asked to
// apply them.
type pruneText struct {
	RetentionS  map[int64]int64 `json:"retention_s"` // by width
	RequestAgeS int64           `json:"request_age_s"`
	RequestRows int64           `json:"request_rows"`
	Bytes       int64           `json:"bytes"`
	// Nonce tells one request from the next.
	Nonce string `json:"nonce"`
}

func (b *PruneBounds) text(nonce string) (string, error) {
	p := pruneText{map[int64]int64{}, int64(b.RequestAge / time.Second), b.RequestRows, b.Bytes, nonce}
	for _, w := range b.Widths {
		p.RetentionS[w.Seconds] = int64(w.Retention / time.Second)
	}
	text, err := json.Marshal(p)
	return string(text), err
}

// parseBounds is the inverse of text, for a file of the given widths.
func parseBounds(text string, widths []Width) (PruneBounds, error) {
	var p pruneText
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return PruneBounds{}, err
	}
	b := PruneBounds{
		Widths: slices.Clone(widths), RequestAge: time.Duration(p.RequestAgeS) * time.Second, RequestRows: p.RequestRows, Bytes: p.Bytes,
	}
	for i := range b.Widths {
		b.Widths[i].Retention = time.Duration(p.RetentionS[b.Widths[i].Seconds]) * time.Second
	}
	if p.RequestAgeS < 0 || p.RequestRows < 0 || p.Bytes < 0 || slices.ContainsFunc(b.Widths, func(w Width) bool { return w.Retention < 0 }) {
		return PruneBounds{}, fmt.Errorf("%s: a bound is negative", text)
	}
	return b, nil
}
