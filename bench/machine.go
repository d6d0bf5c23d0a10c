package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// machine describes where and with what a run took place.
type machine struct {
	cpu, os, arch string
	cores         int
	goVersion     string
	filesystem    string
	inMemory      bool    // the filesystem survives no power cut
	sync          summary // milliseconds one synced write of 4 KiB takes
	versions      []string
}

func describe(dir string) (machine, error) {
	m := machine{
		cpu: cpuModel(), os: runtime.GOOS, arch: runtime.GOARCH, cores: runtime.GOMAXPROCS(0),
		goVersion: runtime.Version(), versions: versions(),
	}
	m.filesystem, m.inMemory = filesystemOf(dir)
	var err error
	m.sync, err = timeSync(dir)
	return m, err
}

func (m machine) write(w io.Writer) {
	fmt.Fprintf(w, "machine      %s, %d cores, %s/%s, %s\n", m.cpu, m.cores, m.os, m.arch, m.goVersion)
	fmt.Fprintf(w, "disk         %s; a synced write of 4 KiB takes %.2f ms (%.2f-%.2f)\n", m.filesystem, m.sync.median, m.sync.least, m.sync.most)
	for _, version := range m.versions {
		fmt.Fprintf(w, "version      %s\n", version)
	}
}

// versions lists the modules whose speed matters.
func versions() []string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil
	}
	var list []string
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			list = append(list, "spanbucket "+setting.Value)
		}
	}
	for _, dep := range info.Deps {
		switch dep.Path {
		case "go.opentelemetry.io/collector/pdata", "modernc.org/sqlite",
			"github.com/open-telemetry/opentelemetry-collector-contrib/connector/spanmetricsconnector":
			list = append(list, dep.Path+" "+dep.Version)
		}
	}
	return list
}

func cpuModel() string {
	data, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown CPU"
	}
	for line := range strings.Lines(string(data)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown CPU"
}

// timeSync measures what the disk needs to promise anything: a commit takes at
// least one of these.
func timeSync(dir string) (summary, error) {
	file, err := os.Create(filepath.Join(dir, "sync"))
	if err != nil {
		return summary{}, fmt.Errorf("time sync: %w", err)
	}
	defer file.Close()
	var times []float64
	for range 20 {
		began := time.Now()
		if _, err := file.Write(make([]byte, 4096)); err != nil {
			return summary{}, fmt.Errorf("time sync: %w", err)
		}
		if err := file.Sync(); err != nil {
			return summary{}, fmt.Errorf("time sync: %w", err)
		}
		times = append(times, time.Since(began).Seconds()*1000)
	}
	return summarize(times), nil
}
