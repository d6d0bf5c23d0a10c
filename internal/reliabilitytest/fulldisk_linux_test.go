package reliabilitytest

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/exporter"

	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

func init() { roles["full disk"] = fillDisk }

// fillOrder says how often a child fills its disk.
type fillOrder struct {
	Folder  string // where the disk is mounted
	Traffic traffic
	Rounds  int
	Keep    string // where the file is copied to in the end
	// Mount a disk; only for a child that has its mounts for itself.
	Mount bool
	// Drop is the control: what failed is not delivered again.
	Drop bool
}

// fillResult is what the child found out.
type fillResult struct {
	Batches   []int // all that were sent
	Acked     int
	Failed    int
	Permanent string        // an error that loses the batch
	Heal      time.Duration // the longest, from space to acknowledgement
	RSS       []int64       // KiB, while the disk is full in each round
	Means     string        // of filling: see smallDisk
}

// fillDisk is a child with a disk of its own, a tmpfs of 4 MB. It lowers the
// size to what is in use, sends until nothing is taken any more, and raises it
// again; over and over. Its last line is the result as JSON.
func fillDisk(orders *orders) error {
	var o fillOrder
	if err := orders.read(&o); err != nil {
		return err
	}
	d := &smallDisk{folder: o.Folder, path: filepath.Join(o.Folder, "spanbucket.db")}
	d.means = meansMount
	if !o.Mount || d.resize(4<<20, 0) != nil {
		d.means = meansLimit
	}
	e, err := startExporter(fileAt(d.path), "")
	if err != nil {
		return err
	}
	result := &fillResult{Means: d.means}
	for range o.Rounds {
		if err := d.round(e, &o, result); err != nil {
			return err
		}
	}
	if err := e.Shutdown(context.Background()); err != nil {
		return err
	}
	// The disk goes with the child. The file is closed: nobody holds a lock.
	stored, err := os.ReadFile(d.path)
	if err != nil {
		return err
	}
	if err := os.WriteFile(o.Keep, stored, 0o600); err != nil {
		return err
	}
	text, err := json.Marshal(result)
	say("%s", text)
	return err
}

// smallDisk is a disk that can be made full: a tmpfs that is given another size
// while it is in use. Where the system lets nobody mount one, it is a limit on
// the size of files; SQLite then reports a failed write, not a full disk.
type smallDisk struct {
	folder, path, means string
}

const (
	meansMount = "tmpfs"
	meansLimit = "limit on the size of files"
)

func (d *smallDisk) resize(size int64, flags uintptr) error {
	if d.means == meansLimit {
		return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: uint64(size), Max: math.MaxUint64})
	}
	return syscall.Mount("spanbucket-test", d.folder, "tmpfs", flags, "size="+strconv.FormatInt(size, 10))
}

// used is how much there is: on the disk, or in the file.
func (d *smallDisk) used() (int64, error) {
	if d.means == meansMount {
		var s syscall.Statfs_t
		err := syscall.Statfs(d.folder, &s)
		return int64(s.Blocks-s.Bfree) * s.Bsize, err
	}
	info, err := os.Stat(d.path)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// round fills the disk and frees it.
func (d *smallDisk) round(e exporter.Traces, o *fillOrder, result *fillResult) error {
	used, err := d.used()
	if err != nil {
		return err
	}
	if err := d.resize(used+(512<<10), syscall.MS_REMOUNT); err != nil {
		return fmt.Errorf("fill: %w", err)
	}
	var failed []int
	// A full disk still takes what fits the pages that are there: full it is
	// when several batches in a row are refused.
	for row, tries := 0, 0; row < 10; tries++ {
		if tries > 5000 {
			return fmt.Errorf("disk is not full after %d batches", tries)
		}
		n := len(result.Batches)
		result.Batches = append(result.Batches, n)
		err := e.ConsumeTraces(context.Background(), otlp(o.Traffic.batch(n)))
		if err == nil {
			row = 0
			result.Acked++
			continue
		}
		if row++; isPermanent(err) {
			result.Permanent = err.Error()
		}
		failed = append(failed, n)
	}
	result.Failed += len(failed)
	result.RSS = append(result.RSS, residentKiB(os.Getpid()))
	if err := d.resize(256<<20, syscall.MS_REMOUNT); err != nil {
		return fmt.Errorf("free: %w", err)
	}
	began := time.Now()
	if o.Drop {
		failed = failed[:1]
	}
	for i, n := range failed {
		if err := deliver(e, o.Traffic.batch(n)); err != nil {
			return err
		}
		if i == 0 {
			result.Heal = max(result.Heal, time.Since(began))
		}
	}
	return nil
}

// ownMounts lets a child mount a file system without being anybody special.
func ownMounts() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
}

// fill runs a child on a small disk and returns what it found out.
func fill(t *testing.T, rounds int, attributes *syscall.SysProcAttr, drop bool) (s traffic, result fillResult, path string) {
	t.Helper()
	folder := t.TempDir()
	path = filepath.Join(folder, "kept.db")
	disk := filepath.Join(folder, "disk")
	require.NoError(t, os.Mkdir(disk, 0o700))
	s = newTraffic(seedtest.Rand(t).Uint64N(1 << 20))
	s.Spans = 100
	order := fillOrder{Folder: disk, Traffic: s, Rounds: rounds, Keep: path, Mount: attributes != nil, Drop: drop}
	last := ""
	heard := func(line string) { last = line }
	c, err := tryToSpawn(t, "full disk", order, heard, attributes)
	if err != nil {
		t.Logf("the system does not let a process mount a disk of its own: %v", err)
		order.Mount = false
		c = spawn(t, "full disk", order, heard)
	}
	<-c.ended
	require.NoError(t, c.state, c.stderr.String())
	require.NoError(t, json.Unmarshal([]byte(last), &result), last)
	return s, result, path
}

// TestFullDisk: a full disk is an error that may be retried. When there is
// space again the exporter goes on by itself, with nothing lost.
func TestFullDisk(t *testing.T) {
	for name, attributes := range map[string]*syscall.SysProcAttr{"tmpfs": ownMounts(), "limited files": nil} {
		t.Run(name, func(t *testing.T) {
			s, result, path := fill(t, tier().fills, attributes, false)
			grown := result.RSS[len(result.RSS)-1] - result.RSS[min(len(result.RSS)-1, 2)]
			figures.add(t, "full disk (%s): %d rounds, %d batches acknowledged at once, %d refused and delivered again, heals within %.0f ms, memory grew by %.1f MB from round 3 on",
				result.Means, len(result.RSS), result.Acked, result.Failed, float64(result.Heal)/1e6, float64(grown)/1024)
			require.Empty(t, result.Permanent, "an error that loses the batch")
			require.Positive(t, result.Failed)
			require.Less(t, result.Heal, 30*time.Second)
			require.LessOrEqual(t, grown, int64(10<<10), "KiB: %v", result.RSS)
			require.Empty(t, modelOf(&s, result.Batches).differences(t, path))
			require.Empty(t, problemsOf(t, path))
		})
	}
}

// TestDroppingOnAFullDiskLoses is the control: the disk was full.
func TestDroppingOnAFullDiskLoses(t *testing.T) {
	s, result, path := fill(t, 1, ownMounts(), true)
	folded, _ := counted(t, path)
	require.Less(t, folded, modelOf(&s, result.Batches).spans)
	require.NotEmpty(t, modelOf(&s, result.Batches).differences(t, path), "the model notices")
}
