package reliabilitytest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/exporter"

	"github.com/spanbucket/spanbucketexporter/internal/vfstest"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// Helpers of the tests that work below SQLite.

// memoryDir returns a folder in memory where there is such a thing: what these
// tests say of a disk does not depend on one.
func memoryDir(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("/dev/shm", "spanbucket-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	return folder
}

func watch(t *testing.T, folder string) *vfstest.Folder {
	t.Helper()
	watched, err := vfstest.Watch(folder)
	require.NoError(t, err)
	t.Cleanup(watched.Close)
	return watched
}

// fileName is that of the database in the folders of these tests.
const fileName = "spanbucket.db"

// smallBatch is the beginning of a batch: what matters here is how many writes
// there are, not how long.
func smallBatch(s *traffic, n int) []call {
	batch := s.batch(n)
	return batch[:min(len(batch), 40)]
}

// numberOf returns the batch that a span of a traffic belongs to.
func (s *traffic) numberOf(spanID string) (int, error) {
	n, err := strconv.ParseUint(spanID, 16, 64)
	return int((n^s.Seed<<40)>>14) - 1, err
}

// present is what a file has of each batch of a traffic.
type present struct {
	rows   map[int]int // distinct spans, by batch
	total  int
	folded int64 // by the buckets of one width
}

// presentIn counts what the file of a reader has.
func presentIn(s *traffic, reader *storage.Reader) (p present, err error) {
	p.rows = map[int]int{}
	if e := scanRows(reader, "SELECT DISTINCT span_id FROM requests", func(r row) {
		n, e := s.numberOf(r["span_id"].(string))
		err = errors.Join(err, e)
		p.rows[n]++
		p.total++
	}); e != nil || err != nil {
		return p, errors.Join(err, e)
	}
	return p, scanRows(reader, "SELECT coalesce(sum(requests_total), 0) AS n FROM timeseries WHERE width_s = 1", func(r row) {
		p.folded = r["n"].(int64)
	})
}

// checkpoint moves the log into the file, from a connection beside that of the
// exporter.
func checkpoint(path, mode string) error {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(20000)")
	if err != nil {
		return err
	}
	var busy, logged, moved int
	err = db.QueryRow("PRAGMA wal_checkpoint("+mode+")").Scan(&busy, &logged, &moved)
	return errors.Join(err, db.Close())
}

func in(folder string) string { return filepath.Join(folder, fileName) }

// wholeness is what the product's own check finds, SQLite's included.
func wholeness(reader *storage.Reader) (err error) {
	for problem, e := range reader.Verify(context.Background()) {
		if e != nil {
			return e
		}
		err = errors.Join(err, errors.New(problem.String()))
	}
	return err
}

// noneQuarantined returns an error where the exporter took a file for damaged
// and set it aside. After faults that SQLite can live with that is a loss.
func noneQuarantined(path string) error {
	names, err := filepath.Glob(path + ".*-*")
	if err == nil && len(names) > 0 {
		err = fmt.Errorf("set aside: %s", strings.Join(names, ", "))
	}
	return err
}

// reading calls read with a reader of a file.
func reading(path string, read func(*storage.Reader) error) (err error) {
	reader, err := storage.OpenReader(context.Background(), path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, reader.Close()) }()
	return read(reader)
}

// expectation is what a file must hold after everything was delivered: all of
// its content, and the part that is quick to compare.
type expectation struct{ whole, sums content }

// sumsOf reads the tables that everything is counted in.
func sumsOf(reader *storage.Reader) (content, error) {
	c := content{}
	for _, table := range []string{"headline_bucket", "series_bucket"} {
		err := scanRows(reader, "SELECT * FROM "+table, func(r row) {
			delete(r, "id") // in the order of arrival
			text, _ := textOf(r)
			h := fnv.New64a()
			_, _ = h.Write([]byte(text))
			c[table] = append(c[table], h.Sum64())
		})
		if err != nil {
			return nil, err
		}
		slices.Sort(c[table])
	}
	return c, nil
}

// compare returns an error where a file does not hold what it must.
func (e *expectation) compare(path string, whole bool) error {
	return reading(path, func(reader *storage.Reader) error {
		want, read := e.sums, sumsOf
		if whole {
			want, read = e.whole, readContent
		}
		got, err := read(reader)
		if err != nil {
			return err
		}
		if differs := want.relationsThatDiffer(got); len(differs) > 0 {
			return fmt.Errorf("after redelivery there differ: %s", strings.Join(differs, ", "))
		}
		return nil
	})
}

// expect returns what a file holds that got small batches once, undisturbed.
func expect(t *testing.T, s *traffic, batches []int) (e expectation) {
	t.Helper()
	path := in(memoryDir(t))
	x := mustStart(t, fileAt(path).with("synchronous", "normal"))
	for _, n := range batches {
		require.NoError(t, deliver(x, smallBatch(s, n)))
	}
	mustStop(t, x)
	e.whole = contentOf(t, path)
	require.NoError(t, reading(path, func(reader *storage.Reader) (err error) {
		e.sums, err = sumsOf(reader)
		return err
	}))
	require.NotEmpty(t, e.sums["series_bucket"])
	return e
}

// crash is what is known of a file after its writer died.
type crash struct {
	traffic *traffic
	batches []int // all there are
	want    *expectation
	// settings of the exporter that recovers, besides the path; by default it
	// does without syncs.
	settings settings
	// acknowledged batches in their order, and those that were sent.
	acknowledged []int
	tried        map[int]bool
}

// recover lets an exporter open the file, and looks for what was acknowledged.
// Then the rest and the last three acknowledged batches are delivered, shuffled
// and cut anew, and the file must be as if nothing had happened. The error says
// what is wrong but for spans that are lost or counted twice.
func (c *crash) recover(r *rand.Rand, path string, whole bool) (lost, twice int64, err error) {
	e, err := startExporter(fileAt(path).with("synchronous", "normal").and(c.settings), "")
	if err != nil {
		return 0, 0, err
	}
	lost, twice, err = c.examine(path)
	if err == nil {
		err = c.redeliver(r, e)
	}
	err = errors.Join(err, e.Shutdown(context.Background()))
	if err == nil && lost == 0 && twice == 0 {
		err = c.want.compare(path, whole)
	}
	return lost, twice, err
}

// settled looks at a file that was shut down after everything was delivered and
// acknowledged.
func (c *crash) settled(path string) (lost, twice int64, err error) {
	for _, n := range c.batches {
		c.tried[n] = true
	}
	lost, twice, err = c.examine(path)
	if err == nil && lost == 0 && twice == 0 {
		err = c.want.compare(path, false)
	}
	return lost, twice, err
}

// examine looks at a file as it is.
func (c *crash) examine(path string) (lost, twice int64, err error) {
	err = reading(path, func(reader *storage.Reader) error {
		there, err := presentIn(c.traffic, reader)
		if err != nil {
			return err
		}
		lost, twice, err = c.lostAndTwice(there)
		return errors.Join(err, wholeness(reader), noneQuarantined(path))
	})
	return lost, twice, err
}

// lostAndTwice says how many acknowledged spans are missing, and how many are
// counted that are not there or were counted before. The error says that part
// of a batch is there.
func (c *crash) lostAndTwice(p present) (lost, twice int64, err error) {
	for _, n := range c.acknowledged {
		lost += int64(len(smallBatch(c.traffic, n)) - p.rows[n])
	}
	for n, rows := range p.rows {
		if size := len(smallBatch(c.traffic, n)); rows != size || !c.tried[n] {
			err = errors.Join(err, fmt.Errorf("batch %d has %d of %d spans, tried: %v", n, rows, size, c.tried[n]))
		}
	}
	return lost, p.folded - int64(p.total), err
}

func (c *crash) redeliver(r *rand.Rand, e exporter.Traces) error {
	var again [][]call
	for _, n := range c.acknowledged[max(0, len(c.acknowledged)-3):] {
		again = append(again, smallBatch(c.traffic, n))
	}
	for _, n := range c.batches {
		if !slices.Contains(c.acknowledged, n) {
			again = append(again, smallBatch(c.traffic, n))
		}
	}
	for _, piece := range few(r, again...) {
		if err := deliver(e, piece); err != nil {
			return err
		}
	}
	return nil
}

// and returns a copy with other settings on top.
func (s settings) and(others settings) settings {
	s = maps.Clone(s)
	maps.Copy(s, others)
	return s
}

// few shuffles batches and cuts them anew into at most three.
func few(r *rand.Rand, batches ...[]call) (cut [][]call) {
	all := slices.Concat(batches...)
	r.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
	for left := 1 + r.IntN(3); len(all) > 0; left-- {
		n := len(all)
		if left > 1 {
			n = 1 + r.IntN(n)
		}
		cut = append(cut, all[:n])
		all = all[n:]
	}
	return cut
}
