package storage

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

// parts is a database as it lies on the disk; nil for a part that is missing.
type parts struct{ main, wal []byte }

func readParts(t *testing.T, path string) (p parts) {
	t.Helper()
	for suffix, into := range map[string]*[]byte{"": &p.main, "-wal": &p.wal} {
		content, err := os.ReadFile(path + suffix)
		if !errors.Is(err, fs.ErrNotExist) {
			require.NoError(t, err)
			*into = content
		}
	}
	return p
}

func (p parts) put(t *testing.T, path string) {
	t.Helper()
	for suffix, content := range map[string][]byte{"": p.main, "-wal": p.wal} {
		if content != nil {
			require.NoError(t, os.WriteFile(path+suffix, content, 0o640))
		}
	}
}

// crashed is what a writer leaves that dies: spans in the file, spans in its
// log.
func crashed(t *testing.T) parts {
	t.Helper()
	o := testOptions(t)
	return readParts(t, backup(t, o))
}

// whole is what a writer leaves that was closed.
func whole(t *testing.T) parts {
	t.Helper()
	o := testOptions(t)
	return readParts(t, wholeBackup(t, o))
}

func (p parts) with(change func(p *parts)) parts {
	p.main, p.wal = bytes.Clone(p.main), bytes.Clone(p.wal)
	change(&p)
	return p
}

// requireSame says no more than that they differ: they are long.
func requireSame(t *testing.T, want, got parts, what string) {
	t.Helper()
	require.True(t, bytes.Equal(want.main, got.main) && bytes.Equal(want.wal, got.wal), "%s: %d and %d bytes, want %d and %d",
		what, len(got.main), len(got.wal), len(want.main), len(want.wal))
}

func setUint32(b []byte, at int, v uint32) { binary.BigEndian.PutUint32(b[at:], v) }

// outcome of opening a damaged file.
type outcome string

const (
	setAside_ outcome = "quarantined"
	refused   outcome = "refused"
	goesOn    outcome = "goes on"
	later     outcome = "noticed when it is read"
)

// TestDamagedFileAtStart: a file of ours that is damaged gets another name, with
// its log, and the collector begins a new one. What may be another program's is
// refused. Neither is changed in a single byte.
func TestDamagedFileAtStart(t *testing.T) {
	crashed, whole := crashed(t), whole(t)
	foreignWAL := crashed.with(func(p *parts) {
		p.wal = bytes.ReplaceAll(p.wal, []byte("SpBk"), []byte("Some"))
		for _, key := range metaKeys {
			p.wal = bytes.ReplaceAll(p.wal, key, bytes.Repeat([]byte{'x'}, len(key)))
		}
	}).wal
	noise := bytes.Repeat([]byte("0123456789abcdef"), 1024)
	for _, c := range []struct {
		name   string
		files  parts
		want   outcome
		reason string
	}{
		{"nothing", parts{}, goesOn, ""},
		{"an empty file", parts{main: []byte{}}, goesOn, ""},
		{"whole", whole, goesOn, ""},
		{"crashed", crashed, goesOn, ""},
		{"its magic is damaged", whole.with(func(p *parts) { p.main[3] ^= 4 }), setAside_, "does not begin as"},
		{"its magic is damaged, with a log", crashed.with(func(p *parts) { p.main[3] ^= 4 }), setAside_, "does not begin as"},
		{"page size", whole.with(func(p *parts) { p.main[16] ^= 1 }), setAside_, "page size"},
		{"format version", whole.with(func(p *parts) { p.main[19] = 7 }), setAside_, "format version"},
		{"schema format", whole.with(func(p *parts) { p.main[45] = 1 }), setAside_, "schema format"},
		{"text encoding", whole.with(func(p *parts) { p.main[59] = 3 }), setAside_, "text encoding"},
		{"all zero", parts{main: make([]byte, 8192)}, setAside_, "all zero"},
		{"all zero, with a log", crashed.with(func(p *parts) { clear(p.main) }), setAside_, "all zero"},
		{"its first page is zero", whole.with(func(p *parts) { clear(p.main[100:4096]) }), setAside_, ""},
		{"a page of noise", whole.with(func(p *parts) { copy(p.main[4096*2:], noise[:4096*2]) }), setAside_, ""},
		{"noise and a log that is ours", crashed.with(func(p *parts) { p.main = noise }), setAside_, "only its log"},
		{"no file and a log", crashed.with(func(p *parts) { p.main = nil }), setAside_, "no database"},
		{"an empty file and a log", crashed.with(func(p *parts) { p.main = []byte{} }), setAside_, "no database"},
		{"no file and a log that is cut off", crashed.with(func(p *parts) { p.main, p.wal = nil, p.wal[:len(p.wal)-4096*2-9] }), setAside_, "no database"},
		{"no file and a log with a damaged header", crashed.with(func(p *parts) { p.main = nil; p.wal[1] ^= 1 }), setAside_, "no database"},
		{"no file and a log of zeros", parts{wal: make([]byte, 5000)}, setAside_, "no database"},
		{"no file and the log of somebody", parts{wal: foreignWAL}, refused, "does not show whose"},
		{"noise", parts{main: noise}, refused, "no database"},
		{"noise and the log of somebody", parts{main: noise, wal: foreignWAL}, refused, "no database"},
		{"a newer schema", whole.with(func(p *parts) { setUint32(p.main, 60, 99) }), refused, "schema 99"},
		{"a newer schema, and damaged", whole.with(func(p *parts) { setUint32(p.main, 60, 99); p.main[3] ^= 4 }), refused, "schema 99"},
		{"another application", whole.with(func(p *parts) { setUint32(p.main, 68, 7) }), refused, "application_id"},
		{"another application beside a log of ours", crashed.with(func(p *parts) { setUint32(p.main, 68, 7) }), refused, "application_id"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := openDamaged(t, c.files)
			require.Equal(t, c.want, got, "%v", err)
			if c.reason != "" {
				require.ErrorContains(t, err, c.reason)
			}
		})
	}
}

// openDamaged opens a file, writes a span, and checks what must hold in every
// case. It returns the outcome, and why it was not the usual one.
func openDamaged(t *testing.T, files parts) (outcome, error) {
	t.Helper()
	o, log := loggedOptions(t)
	folder := filepath.Dir(o.Path)
	files.put(t, o.Path)
	s, err := Open(t.Context(), o)
	if err != nil {
		require.ErrorContains(t, err, o.Path)
		require.True(t, errors.Is(err, ErrForeign) || errors.Is(err, ErrNewer), "%v", err)
		requireSame(t, files, readParts(t, o.Path), "a file that was refused was changed")
		require.Empty(t, log.of(EventQuarantined))
		return refused, err
	}
	if err := s.Write(t.Context(), requestBatch(o, request(3, 0))); FailureOf(err) == FailureCorrupt {
		require.NoError(t, s.Close())
		return later, err
	} else {
		require.NoError(t, err)
	}
	require.NoError(t, s.Close())
	require.Contains(t, spansOf(t, o.Path), byte(3))
	events := log.of(EventQuarantined)
	aside, err := filepath.Glob(filepath.Join(folder, "*.corrupt-*"))
	require.NoError(t, err)
	if len(events) == 0 {
		require.Empty(t, aside)
		return goesOn, nil
	}
	require.Len(t, events, 1)
	require.Equal(t, []byte{3}, spansOf(t, o.Path), "a new file begins")
	base := o.Path + ".corrupt-" + anInstant.Format("20060102T150405Z")
	kept := readParts(t, base)
	if len(files.main) == 0 {
		require.Equal(t, base+"-wal", events[0].Path)
		files.main = nil // an empty one serves as the new one
	} else {
		require.Equal(t, base, events[0].Path)
	}
	requireSame(t, files, kept, "what was set aside was changed")
	info, err := os.Stat(events[0].Path)
	require.NoError(t, err)
	require.Equal(t, events[0].Bytes, info.Size())
	require.EqualValues(t, 0o640, info.Mode().Perm())
	require.Error(t, events[0].Err)
	return setAside_, events[0].Err
}

// TestLargeFilesOfNothing are not read to their end to see that nothing is in
// them, and stay as they are.
func TestLargeFilesOfNothing(t *testing.T) {
	const large = 200 << 30
	for _, suffix := range []string{"", "-wal"} {
		o, log := loggedOptions(t)
		require.NoError(t, os.WriteFile(o.Path+suffix, nil, 0o600))
		require.NoError(t, os.Truncate(o.Path+suffix, large))
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		_, err := Open(ctx, o)
		cancel()
		require.ErrorIs(t, err, ErrForeign)
		require.ErrorContains(t, err, o.Path)
		require.EqualValues(t, large, sizeOf(o.Path+suffix))
		require.Empty(t, log.of(EventQuarantined))
	}
}

// TestTruncatedFileAtStart: cut off anywhere, it is either as good as whole, or
// set aside, or too short to tell whose it is.
func TestTruncatedFileAtStart(t *testing.T) {
	for name, files := range map[string]parts{"whole": whole(t), "crashed": crashed(t)} {
		size := len(files.main)
		for _, n := range []int{1, 15, 16, 17, 71, 72, 99, 100, 101, 511, 512, 4095, 4096, 4097, 8192, size / 2 &^ 4095, size/2 | 1, size - 4096, size - 1} {
			t.Run(fmt.Sprintf("%s, %d bytes", name, n), func(t *testing.T) {
				got, err := openDamaged(t, files.with(func(p *parts) { p.main = p.main[:n] }))
				switch {
				case n < 72 && files.wal == nil:
					require.Equal(t, refused, got, "%v", err)
				case files.wal == nil || n < 100:
					require.Equal(t, setAside_, got, "%v", err)
				default:
					// The pages that are missing may be in the log.
					require.Contains(t, []outcome{setAside_, goesOn}, got, "%v", err)
				}
			})
		}
	}
}

// TestRandomDamageAtStart: no damage whatever keeps the collector from starting,
// but where the file no longer says that it is ours or says that it is newer.
func TestRandomDamageAtStart(t *testing.T) {
	rng := seedtest.Rand(t)
	crashed, whole := crashed(t), whole(t)
	counts := map[outcome]int{}
	for range 60 {
		files := []parts{whole, crashed}[rng.IntN(2)]
		damage, identity := randomDamage(rng, len(files.main))
		got, err := openDamaged(t, files.with(func(p *parts) { damage(p.main) }))
		counts[got]++
		if !identity {
			require.NotEqual(t, refused, got, "%v", err)
		}
	}
	t.Log(counts)
	require.Positive(t, counts[setAside_])
}

// randomDamage returns a damage, and whether it is to what the file says it is.
func randomDamage(rng *rand.Rand, size int) (damage func([]byte), identity bool) {
	switch rng.IntN(3) {
	case 0: // a bit of the header
		at := rng.IntN(headerBytes)
		bit := byte(1) << rng.IntN(8)
		return func(b []byte) { b[at] ^= bit }, at >= atUserVersion && at < identityEndBytes
	case 1: // a sector of noise
		at := 512 * (1 + rng.IntN(size/512-1))
		noise := make([]byte, 512)
		for i := range noise {
			noise[i] = byte(rng.Uint32())
		}
		return func(b []byte) { copy(b[at:], noise) }, false
	default: // pages that were never written
		at := 4096 * rng.IntN(size/4096)
		n := 4096 * (1 + rng.IntN(4))
		return func(b []byte) { clear(b[at:min(at+n, len(b))]) }, at == 0
	}
}

// TestWithoutQuarantineALogIsDeleted is the control: SQLite takes a log without
// its database for litter.
func TestWithoutQuarantineALogIsDeleted(t *testing.T) {
	o := testOptions(t)
	files := crashed(t).with(func(p *parts) { p.main = []byte{} })
	files.put(t, o.Path)
	exec(t, o.Path, "CREATE TABLE t (x)")
	require.Empty(t, readParts(t, o.Path).wal)
}

// TestCrashWhileQuarantining: wherever it stops, the next start goes on, and
// nothing is gone.
func TestCrashWhileQuarantining(t *testing.T) {
	o, log := loggedOptions(t)
	files := crashed(t).with(func(p *parts) { p.main[3] ^= 4 })
	files.put(t, o.Path)
	// Stopped after the first rename.
	name, err := setAside(o.Path, "corrupt", []string{""}, anInstant)
	require.NoError(t, err)
	s := openStore(t, o)
	write(t, s, o, 3)
	require.NoError(t, s.Close())
	require.Equal(t, []byte{3}, spansOf(t, o.Path))
	requireSame(t, parts{main: files.main}, readParts(t, name), "the database")
	require.Len(t, log.of(EventQuarantined), 1)
	require.Equal(t, name+"-2-wal", log.of(EventQuarantined)[0].Path)
	requireSame(t, parts{wal: files.wal}, readParts(t, name+"-2"), "the log")
}

func TestNamesInQuarantineAreNeverTakenTwice(t *testing.T) {
	o, log := loggedOptions(t)
	for range 3 {
		parts{main: make([]byte, 512)}.put(t, o.Path)
		require.NoError(t, openStore(t, o).Close())
		require.NoError(t, os.Remove(o.Path))
	}
	var names []string
	for _, e := range log.of(EventQuarantined) {
		names = append(names, strings.TrimPrefix(e.Path, o.Path))
	}
	const first = ".corrupt-20260130T100000Z"
	require.Equal(t, []string{first, first + "-2", first + "-3"}, names)
}

// TestHarmlessErrorsQuarantineNothing: what may pass is no damage.
func TestHarmlessErrorsQuarantineNothing(t *testing.T) {
	o, log := loggedOptions(t)
	s := openStore(t, o)
	write(t, s, o, 1)
	require.NoError(t, s.Close())
	release := holdWriteLock(t, o.Path)
	_, err := Open(t.Context(), o)
	require.True(t, isBusy(err), "%v", err)
	release()
	require.Empty(t, log.of(EventQuarantined))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = Open(ctx, o)
	require.Error(t, err)
	require.Empty(t, log.of(EventQuarantined))
	require.Equal(t, []byte{1}, spansOf(t, o.Path))
}

// TestFirstTransactionThatWasCutOff leaves a file of zeros, and a journal that
// makes it empty again: no damage.
func TestFirstTransactionThatWasCutOff(t *testing.T) {
	header := make([]byte, 512)
	copy(header, journalMagic)
	binary.BigEndian.PutUint32(header[20:], 512)  // bytes of a sector
	binary.BigEndian.PutUint32(header[24:], 4096) // bytes of a page; no page was there before
	for name, journal := range map[string][]byte{
		"journal": header, "no journal": nil, "no journal in it": make([]byte, 512),
	} {
		t.Run(name, func(t *testing.T) {
			o := testOptions(t)
			var events []Event
			o.OnEvent = func(e Event) { events = append(events, e) }
			require.NoError(t, os.WriteFile(o.Path, make([]byte, 4096), 0o600))
			if journal != nil {
				require.NoError(t, os.WriteFile(o.Path+"-journal", journal, 0o600))
			}
			s := openStore(t, o)
			require.NoError(t, s.Write(t.Context(), batchOf(o, observation(0, time.Second))))
			require.Equal(t, name != "journal", len(events) == 1, "%v", events)
		})
	}
}
