package reliabilitytest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
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
}

// fillDisk is a child with a disk of its own, a tmpfs of 4 MB. It lowers the
// size to what is in use, sends until nothing is taken any more, and raises it
// again; over and over. Its last line is the result as JSON.
func fillDisk(orders *orders) error {
	var o fillOrder
	if err := orders.read(&o); err != nil {
		return err
	}
	d := &smallDisk{folder: o.Folder}
	if err := d.resize(4<<20, 0); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	e, err := startExporter(fileAt(filepath.Join(o.Folder, "spanbucket.db")), "")
	if err != nil {
		return err
	}
	result := &fillResult{}
	for range o.Rounds {
		if err := d.round(e, &o, result); err != nil {
			return err
		}
	}
	if err := e.Shutdown(context.Background()); err != nil {
		return err
	}
	// The disk goes with the child. The file is closed: nobody holds a lock.
	stored, err := os.ReadFile(filepath.Join(o.Folder, "spanbucket.db"))
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

type smallDisk struct {
	folder string
	free   int64 // size of the disk while there is space
}

func (d *smallDisk) resize(size int64, flags uintptr) error {
	return syscall.Mount("spanbucket-test", d.folder, "tmpfs", flags, "size="+strconv.FormatInt(size, 10))
}

func (d *smallDisk) used() (int64, error) {
	var s syscall.Statfs_t
	err := syscall.Statfs(d.folder, &s)
	return int64(s.Blocks-s.Bfree) * s.Bsize, err
}

// round fills the disk and frees it.
func (d *smallDisk) round(e exporter.Traces, o *fillOrder, result *fillResult) error {
	used, err := d.used()
	if err != nil {
		return err
	}
	if err := d.resize(used+(1<<20), syscall.MS_REMOUNT); err != nil {
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

// residentKiB is the memory of a process that is in RAM.
func residentKiB(process int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", process))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if value, found := strings.CutPrefix(line, "VmRSS:"); found {
			kib, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			return kib
		}
	}
	return 0
}

// ownMounts lets a child mount a file system without being anybody special.
func ownMounts() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
}

// fill runs a child on a small disk and returns what it found out. It skips the
// test where the system lets nobody mount one.
func fill(t *testing.T, rounds int, drop bool) (s traffic, result fillResult, path string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("needs Linux: a tmpfs in a name space of its own")
	}
	folder := t.TempDir()
	path = filepath.Join(folder, "kept.db")
	disk := filepath.Join(folder, "disk")
	require.NoError(t, os.Mkdir(disk, 0o700))
	s = newTraffic(seedtest.Rand(t).Uint64N(1 << 20))
	s.Spans = 100
	last := ""
	c, err := tryToSpawn(t, "full disk", fillOrder{Folder: disk, Traffic: s, Rounds: rounds, Keep: path, Drop: drop},
		func(line string) { last = line }, ownMounts())
	if err != nil {
		t.Skipf("the system does not let a process mount a disk of its own: %v", err)
	}
	<-c.ended
	if c.state != nil && strings.HasPrefix(c.stderr.String(), "mount: ") {
		t.Skipf("the system does not let a process mount a disk of its own: %s", c.stderr.String())
	}
	require.NoError(t, c.state, c.stderr.String())
	require.NoError(t, json.Unmarshal([]byte(last), &result), last)
	return s, result, path
}

// TestFullDisk: a full disk is an error that may be retried. When there is
// space again the exporter goes on by itself, with nothing lost.
func TestFullDisk(t *testing.T) {
	s, result, path := fill(t, tier().fills, false)
	grown := result.RSS[len(result.RSS)-1] - result.RSS[min(len(result.RSS)-1, 2)]
	figures.add(t, "full disk: %d rounds, %d batches acknowledged at once, %d refused and delivered again, heals within %.0f ms, memory grew by %.1f MB from round 3 on",
		len(result.RSS), result.Acked, result.Failed, float64(result.Heal)/1e6, float64(grown)/1024)
	require.Empty(t, result.Permanent, "an error that loses the batch")
	require.Positive(t, result.Failed)
	require.Less(t, result.Heal, 30*time.Second)
	require.LessOrEqual(t, grown, int64(10<<10), "KiB: %v", result.RSS)
	require.Empty(t, modelOf(&s, result.Batches).differences(t, path))
	require.Empty(t, problemsOf(t, path))
}

// TestDroppingOnAFullDiskLoses is the control: the disk was full.
func TestDroppingOnAFullDiskLoses(t *testing.T) {
	s, result, path := fill(t, 1, true)
	folded, _ := counted(t, path)
	require.Less(t, folded, modelOf(&s, result.Batches).spans)
	require.NotEmpty(t, modelOf(&s, result.Batches).differences(t, path), "the model notices")
}
