package spanbucketexporter

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

const (
	stray = "stray-9d04" // stands in attributes that nobody listed
	kept  = "kept-9d04"  // stands in attributes that are read
)

// nearMisses make names that are almost listed.
var nearMisses = []func(r *rand.Rand, name string) string{
	func(_ *rand.Rand, name string) string { return name + "s" },
	func(_ *rand.Rand, name string) string { return name + ".name" },
	func(_ *rand.Rand, name string) string { return name + " " },
	func(_ *rand.Rand, name string) string { return name[:len(name)-1] },
	func(_ *rand.Rand, name string) string { return "x." + name },
	func(_ *rand.Rand, name string) string { return name[1:] },
	func(_ *rand.Rand, name string) string { return strings.ToUpper(name) },
	func(_ *rand.Rand, name string) string { return strings.Replace(name, ".", "_", 1) },
	func(_ *rand.Rand, name string) string { return name + "\x00" },
	func(r *rand.Rand, name string) string { // another one of the same length
		i := r.IntN(len(name))
		return name[:i] + string(rune('a'+r.IntN(26))) + name[i+1:]
	},
	func(r *rand.Rand, name string) string { // of the same beginning
		return fmt.Sprintf("%s%x", name[:len(name)/2], r.Uint32())
	},
	func(r *rand.Rand, _ string) string { return fmt.Sprintf("%x", r.Uint64()) },
}

// TestUnlistedAttributesAreNotStored sends golden spans with attributes whose
// names are random, or almost those that are read. The golden spans have every
// name that is read; a test of package spans holds them to that.
func TestUnlistedAttributesAreNotStored(t *testing.T) {
	r := seedtest.Rand(t)
	hosts := goldenHosts(t)
	listed := map[string]bool{}
	for _, host := range hosts {
		for _, attributes := range []pcommon.Map{host.span.Attributes(), host.resource.Attributes()} {
			for name := range attributes.All() {
				listed[name] = true
			}
		}
		for _, event := range host.span.Events().All() {
			for name := range event.Attributes().All() {
				listed[name] = true
			}
		}
	}
	names := slices.Sorted(maps.Keys(listed))
	path := newFile(t)
	e := startExporter(t, testConfig(path))
	defer stopExporter(t, e)
	batch := ptrace.NewTraces()
	for i := range 4000 {
		g := hosts[r.IntN(len(hosts))].addTo(batch, uint32(i))
		for _, attributes := range g.levels() {
			name := nearMisses[r.IntN(len(nearMisses))](r, names[r.IntN(len(names))])
			if !listed[name] {
				attributes.PutStr(name, fmt.Sprint(stray, "-", i))
			}
		}
	}
	require.NoError(t, e.ConsumeTraces(t.Context(), batch))
	// The same with names that are read, on one span each.
	batch = ptrace.NewTraces()
	for i, name := range names {
		hosts[i%len(hosts)].addTo(batch, uint32(10_000+i)).span.Attributes().PutStr(name, fmt.Sprint(kept, "-", i, "-"))
	}
	require.NoError(t, e.ConsumeTraces(t.Context(), batch))
	var file []byte
	for _, ending := range []string{"", "-wal", "-shm"} {
		b, err := os.ReadFile(path + ending)
		require.NoError(t, err)
		file = append(file, b...)
	}
	require.False(t, found(file, stray), "an attribute that nobody listed is in the file")
	seen := 0
	for i := range names {
		if strings.Contains(string(file), fmt.Sprint(kept, "-", i, "-")) {
			seen++
		}
	}
	require.Greater(t, seen, 50, "names that are read reach the file")
}
