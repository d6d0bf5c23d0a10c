package reliabilitytest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// damaged counts what became of files in which one bit was flipped.
type damaged struct {
	flips int
	// reported by reading: refused, or verify has a problem to tell of. same:
	// not reported, and the content is what it was. earlier: not reported, and
	// the content is that of an earlier commit; missing counts the spans
	// committed since. unseen: not reported, and the content is wrong; of
	// these, in single rows the buckets are as they were.
	reported, same, earlier, unseen, inSingleRows int
	missing                                       int64
	// What a collector did that was started on the file: it wrote on, put the
	// file aside and began a new one, or refused to start.
	written, quarantined, refused int
}

func (d *damaged) String() string {
	return fmt.Sprintf("%d flips: %d reported, %d without effect, %d back to an earlier commit unseen (%d spans missing of %d on average), %d wrong unseen (%d of them in single requests only); "+
		"a collector wrote on %d, put aside %d, refused %d",
		d.flips, d.reported, d.same, d.earlier, d.missing/int64(max(d.earlier, 1)), flippedBatches*flippedSpans, d.unseen, d.inSingleRows, d.written, d.quarantined, d.refused)
}

// specimen is a file, or a file with its log, that is damaged again and again.
type specimen struct {
	files map[string][]byte // by what their names end in
	hit   string            // the one that is damaged
	want  content
	sent  *traffic // in order, one batch in a commit
}

// The files that are damaged hold so many batches of so many spans.
const (
	flippedBatches = 10
	flippedSpans   = 60
)

// put writes a copy with one bit flipped to a new folder.
func (s *specimen) put(t *testing.T, bit int) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "spanbucket.db")
	for suffix, stored := range s.files {
		stored = append([]byte(nil), stored...)
		if suffix == s.hit && bit >= 0 {
			stored[bit/8] ^= 1 << (bit % 8)
		}
		require.NoError(t, os.WriteFile(path+suffix, stored, 0o600))
	}
	return path
}

// read tells whether a reader notices anything.
func (s *specimen) read(t *testing.T, bit int) (reported, same bool) {
	t.Helper()
	reader, err := storage.OpenReader(context.Background(), s.put(t, bit))
	if err != nil {
		return true, false
	}
	defer reader.Close()
	for _, err := range reader.Verify(context.Background()) {
		if err == nil {
			return true, false // the first problem
		}
		return true, false
	}
	c, err := readContent(reader)
	if err != nil {
		return true, false
	}
	return false, len(s.want.relationsThatDiffer(c)) == 0
}

// isEarlier tells whether the damaged file is as it was after one of its
// commits, and how many spans came later.
func (s *specimen) isEarlier(t *testing.T, bit int) (missing int64, earlier bool) {
	t.Helper()
	path := s.put(t, bit)
	folded, _ := counted(t, path)
	var batches []int
	for n := range folded / flippedSpans {
		batches = append(batches, int(n))
	}
	return flippedBatches*flippedSpans - folded, len(modelOf(s.sent, batches).differences(t, path)) == 0
}

// write starts an exporter on the damaged file. Whatever it does, the file is
// not deleted.
func (s *specimen) write(t *testing.T, bit int, d *damaged) {
	t.Helper()
	path := s.put(t, bit)
	e, err := startExporter(fileAt(path).with("synchronous", "normal"), "")
	if err == nil {
		more := newTraffic(1 << 30)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		_ = e.ConsumeTraces(ctx, otlp(more.batch(0))) // any answer is one, if there is one
		cancel()
		_ = e.Shutdown(context.Background())
	}
	aside, globErr := filepath.Glob(path + ".corrupt-*")
	require.NoError(t, globErr)
	switch {
	case len(aside) > 0:
		d.quarantined++
	case err != nil:
		d.refused++
		require.FileExists(t, path)
	default:
		d.written++
		require.FileExists(t, path)
	}
}

// damage flips so many bits, one at a time, and none first: that must be fine.
func (s *specimen) damage(t *testing.T, r *rand.Rand, flips int) *damaged {
	t.Helper()
	reported, same := s.read(t, -1)
	require.False(t, reported, "verify reports a file that is whole")
	require.True(t, same)
	d := &damaged{flips: flips}
	bits := 8 * len(s.files[s.hit])
	require.Positive(t, bits)
	for range flips {
		bit := r.IntN(bits)
		reported, same := s.read(t, bit)
		switch {
		case reported:
			d.reported++
		case same:
			d.same++
		default:
			d.notReported(s.isEarlier(t, bit))
		}
		s.write(t, bit, d)
	}
	return d
}

func (d *damaged) notReported(missing int64, earlier bool) {
	switch {
	case earlier && missing > 0:
		d.earlier++
		d.missing += missing
	case earlier:
		d.inSingleRows++
		fallthrough
	default:
		d.unseen++
	}
}

// collect reads the files of a database that nobody has open.
func collect(t *testing.T, sent *traffic, path, hit string, suffixes ...string) *specimen {
	t.Helper()
	s := &specimen{files: map[string][]byte{}, hit: hit, sent: sent}
	for _, suffix := range suffixes {
		stored, err := os.ReadFile(path + suffix)
		require.NoError(t, err)
		s.files[suffix] = stored
	}
	s.want = contentOf(t, s.put(t, -1))
	return s
}

// TestBitFlips: no flipped bit makes the exporter, a reader or verify panic, and
// no file is deleted for one. How many are noticed is a figure, not a promise.
func TestBitFlips(t *testing.T) {
	beside(t)
	r := seedtest.Rand(t)
	flips := tier().flips
	s := newTraffic(r.Uint64N(1 << 20))
	s.Spans = flippedSpans
	path := filepath.Join(t.TempDir(), "spanbucket.db")
	account := newAccount(&s)
	order := loadOrder{Settings: fileAt(path), Traffic: s, Goroutines: 1, Most: flippedBatches}
	c := spawn(t, "load", order, account.hear)
	c.await(fmt.Sprint("ok ", flippedBatches-1), patience)
	c.kill() // and so the log stays

	inLog := collect(t, &s, path, "-wal", "", "-wal")
	log := inLog.damage(t, r, flips)
	figures.add(t, "bit flips in the log: %v", log)
	require.Zero(t, log.unseen, "every frame of the log has a checksum")

	require.NoError(t, openReader(t, path).Close()) // moves the log into the file
	require.NoFileExists(t, path+"-wal")
	inFile := collect(t, &s, path, "", "")
	file := inFile.damage(t, r, flips)
	figures.add(t, "bit flips in the file: %v", file)
	require.Positive(t, file.reported, "verify notices nothing")
	require.NotEmpty(t, account.acked)
}
