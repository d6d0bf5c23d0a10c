package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"path/filepath"
	"text/tabwriter"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/spanbucket/spanbucketexporter/internal/spantest"
)

// sizeTraffic is traffic whose size in a file is measured.
type sizeTraffic struct {
	title     string
	profile   spantest.Profile
	perSecond int           // spans
	over      time.Duration // how long it lasts
	// streamed gives every span a time to first token.
	streamed bool
	buckets  float64 // limit of bytes for each span in buckets of 10 s; 0: none
	row      float64 // limit of bytes of a request; 0: none
}

var sizeTraffics = []sizeTraffic{
	{title: "dense, no time to first token", profile: withStreaming(-1), perSecond: 2000, over: time.Minute, buckets: 6, row: 150},
	{title: "dense, a third streams", profile: spantest.Dense, perSecond: 2000, over: time.Minute, row: 150},
	{
		title: "dense, time to first token on every span", profile: withStreaming(-1), perSecond: 2000, over: time.Minute,
		streamed: true, buckets: 12, row: 150,
	},
	{title: "sparse, a third streams", profile: spantest.Dense, perSecond: 10, over: 10 * time.Minute, row: 150},
}

func withStreaming(share float64) spantest.Profile {
	p := spantest.Dense
	p.StreamingShare = share
	return p
}

// size is how many bytes of a file a span takes, with what indexes take of it.
type size struct {
	traffic sizeTraffic
	spans   int
	narrow  float64 // in buckets of 10 s
	widths  float64 // in buckets of the default widths
	request float64 // its row, and what rows share
	whole   float64 // its row where each has all attributes: newRowPerSpan
}

// bucketTables and requestTables are the tables that a span is counted by.
const (
	bucketTables  = "'headline_bucket', 'headline_histogram', 'series_bucket', 'series_histogram'"
	requestTables = "'request', 'request_profile', 'request_stratum'"
)

func runSizes(ctx context.Context, o options, start time.Time, dir string, talk io.Writer) (all []size, err error) {
	for _, traffic := range sizeTraffics {
		fmt.Fprintf(talk, "sizes: %s\n", traffic.title)
		if o.volume < 65_536 { // a smoke test
			traffic.over /= 6
		}
		s := size{traffic: traffic, spans: traffic.perSecond * int(traffic.over/time.Second)}
		for _, part := range []struct {
			into   *float64
			tables string
			build  func() (subject, error)
		}{
			{&s.narrow, bucketTables, func() (subject, error) { return newExporterOf(ctx, dir, bucketsOnly, narrowSeconds) }},
			{&s.widths, bucketTables, func() (subject, error) { return newExporterOf(ctx, dir, bucketsOnly) }},
			{&s.request, requestTables, func() (subject, error) { return newExporterOf(ctx, dir, everyRequest, narrowSeconds) }},
			{&s.whole, "'span', 'resource', 'scope'", func() (subject, error) { return newRowPerSpan(ctx, dir) }},
		} {
			if *part.into, err = traffic.measure(ctx, o, start, part.tables, part.build); err != nil {
				return nil, fmt.Errorf("sizes, %s: %w", traffic.title, err)
			}
		}
		all = append(all, s)
	}
	return all, nil
}

// measure sends the traffic, a second at a time, and returns the bytes that some
// tables take for each span.
func (s *sizeTraffic) measure(ctx context.Context, o options, start time.Time, tables string, build func() (subject, error)) (bytes float64, err error) {
	subject, err := build()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, subject.close()) }()
	rng := rand.New(rand.NewPCG(o.seed, 1))
	generator, seconds := spantest.New(o.seed, s.profile), int(s.over/time.Second)
	for second := range seconds {
		batch := generator.Batch(s.perSecond, start.Add(time.Duration(second)*time.Second), time.Second)
		if s.streamed {
			stream(batch, rng)
		}
		if err := subject.consume(ctx, batch); err != nil {
			return 0, fmt.Errorf("second %d: %w", second, err)
		}
	}
	used, err := tableBytes(subject.(filed).path(), tables)
	return float64(used) / float64(s.perSecond*seconds), err
}

// stream gives every span a time to first token, by the law of the generator:
// log-normal, and less than the whole.
func stream(batch ptrace.Traces, rng *rand.Rand) {
	const median, sigma = 0.45, 0.4 // seconds
	for _, resource := range batch.ResourceSpans().All() {
		for _, scope := range resource.ScopeSpans().All() {
			for _, span := range scope.Spans().All() {
				whole := float64(span.EndTimestamp()-span.StartTimestamp()) / 1e9
				first := median * math.Exp(sigma*rng.NormFloat64())
				span.Attributes().PutDouble("gen_ai.response.time_to_first_chunk", min(first, 0.95*whole))
			}
		}
	}
}

// filed is a subject with a file.
type filed interface{ path() string }

func (s *inFolder) path() string { return filepath.Join(s.folder, fileName) }

// tableBytes returns the bytes of the pages of some tables and their indexes.
func tableBytes(path, tables string) (used int64, err error) {
	query := "SELECT coalesce(sum(pgsize), 0) FROM dbstat WHERE name IN (SELECT name FROM sqlite_schema WHERE tbl_name IN (" + tables + "))"
	if err := queryNumber(path, query, &used); err != nil {
		return 0, fmt.Errorf("read sizes: %w", err)
	}
	return used, nil
}

// queryNumber asks a file for one number.
func queryNumber(path, query string, into *int64) error {
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return err
	}
	return errors.Join(db.QueryRow(query).Scan(into), db.Close())
}

func (r *report) writeSizes(w io.Writer) error {
	if len(r.sizes) == 0 {
		return nil
	}
	fmt.Fprintf(w, "\nsizes: bytes of the file for each span, indexes included; about %d series\n", spantest.Dense.Series)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tspans/s\tbuckets of 10 s\tlimit\t\tof 1 s, 10 s, 5 min, 1 h\teach a request\tlimit\t\teach a row with its attributes\tx request\t")
	for _, s := range r.sizes {
		fmt.Fprintf(t, "%s\t%d\t%.1f\t%s\t%.1f\t%.0f\t%s\t%.0f\t%.1f\t\n", s.traffic.title, s.traffic.perSecond,
			s.narrow, bound(s.narrow, s.traffic.buckets), s.widths, s.request, bound(s.request, s.traffic.row), s.whole, s.whole/s.request)
	}
	return t.Flush()
}

// bound returns two cells: the limit, and whether it is met.
func bound(value, limit float64) string {
	switch {
	case limit == 0:
		return "\t"
	case value <= limit:
		return fmt.Sprintf("%.0f\tmet", limit)
	default:
		return fmt.Sprintf("%.0f\tMISSED", limit)
	}
}
