package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spanbucket/spanbucketexporter/internal/spantest"
)

// maxFingerprintBytes is how much of the file a fingerprint may take.
const maxFingerprintBytes = 9

// volumeBatches are the sizes of batches whose volume is measured, in spans.
var volumeBatches = []int{64, 512, 8192}

// volume is what a span costs in bytes.
type volume struct {
	profile string
	batch   int // spans
	once    bool
	written float64 // handed to the system, for each span
	kept    float64 // of the file
	// fingerprint is the part of kept that is the deduplication window.
	fingerprint float64
}

// runVolume sends the same traffic to a file that counts each span once and to
// one that counts repeats.
func runVolume(ctx context.Context, o options, profile spantest.Profile, start time.Time, dir string, talk io.Writer) ([]volume, error) {
	var all []volume
	for _, batch := range volumeBatches {
		for _, once := range []bool{true, false} {
			fmt.Fprintf(talk, "%s: bytes, %d spans a batch\n", profile.Name, batch)
			v, err := measureVolume(ctx, o, profile, start, dir, batch, once)
			if errors.Is(err, errors.ErrUnsupported) {
				return nil, nil
			}
			if err != nil {
				return nil, err
			}
			all = append(all, v)
		}
	}
	return all, nil
}

// measureVolume fills a new file, and a minute of it before: what is measured
// is a commit as they go on.
func measureVolume(ctx context.Context, o options, profile spantest.Profile, start time.Time, dir string, batch int, once bool) (v volume, err error) {
	what := kept{repeats: !once}
	subject, err := newExporterOf(ctx, dir, what, narrowSeconds, wideSeconds)
	if err != nil {
		return v, err
	}
	defer func() { err = errors.Join(err, subject.close()) }()
	path := subject.(filed).path()
	generator := spantest.New(o.seed, profile)
	batches := max(o.volume/batch, 4)
	send := func(from, to int) error {
		for k := from; k < to; k++ {
			// All batches together cover one minute, whatever their size.
			at := start.Add(time.Duration(k%batches) * time.Minute / time.Duration(batches))
			if err := subject.consume(ctx, generator.Batch(batch, at, time.Millisecond)); err != nil {
				return fmt.Errorf("batch %d: %w", k, err)
			}
		}
		return nil
	}
	if err := send(0, batches); err != nil {
		return v, err
	}
	keptBefore, fingerprintBefore, err := sizes(path)
	if err != nil {
		return v, err
	}
	writtenBefore, err := bytesWritten()
	if err != nil {
		return v, err
	}
	if err := send(batches, 2*batches); err != nil {
		return v, err
	}
	written, err := bytesWritten()
	if err != nil {
		return v, err
	}
	keptAfter, fingerprint, err := sizes(path)
	spans := float64(batches * batch)
	return volume{
		profile.Name, batch, once, float64(written-writtenBefore) / spans, float64(keptAfter-keptBefore) / spans,
		float64(fingerprint-fingerprintBefore) / spans,
	}, err
}

// sizes returns the bytes of a file in use, and those of the fingerprints.
func sizes(path string) (used, fingerprint int64, err error) {
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return 0, 0, fmt.Errorf("read sizes: %w", err)
	}
	defer db.Close()
	const query = "SELECT sum(pgsize), sum(CASE WHEN name = 'fingerprint' THEN pgsize ELSE 0 END) FROM dbstat"
	if err := db.QueryRow(query).Scan(&used, &fingerprint); err != nil {
		return 0, 0, fmt.Errorf("read sizes: %w", err)
	}
	return used, fingerprint, nil
}

func (r *report) writeVolume(w io.Writer) error {
	if len(r.volumes) == 0 {
		return nil
	}
	fmt.Fprintf(w, "\nbytes: spanbucket, committed, one caller; for each span, going on in buckets that are there\n")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tspans a batch\t\twritten\tkept\tfingerprints\t\t")
	for _, v := range r.volumes {
		if !v.once {
			fmt.Fprintf(t, "%s\t%d\twithout deduplication\t%.1f\t%.1f\t\t\t\n", v.profile, v.batch, v.written, v.kept)
			continue
		}
		fmt.Fprintf(t, "%s\t%d\t\t%.1f\t%.1f\t%.2f\tlimit %d %s\t\n", v.profile, v.batch, v.written, v.kept, v.fingerprint,
			maxFingerprintBytes, v.verdict())
	}
	return t.Flush()
}

func (v volume) verdict() string {
	if v.fingerprint <= maxFingerprintBytes {
		return "met"
	}
	return "MISSED"
}
