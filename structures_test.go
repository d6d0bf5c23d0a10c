package spanbucketexporter

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// structures are values that are no names: where one is wanted they count as
// missing. What is inside them may be anything.
var structures = map[string]func(pcommon.Value, string){
	"map":          func(v pcommon.Value, text string) { v.SetEmptyMap().PutStr("text", text) },
	"bytes":        func(v pcommon.Value, text string) { v.SetEmptyBytes().FromRaw([]byte(text)) },
	"list of maps": func(v pcommon.Value, text string) { v.SetEmptySlice().AppendEmpty().SetEmptyMap().PutStr("text", text) },
	"list of lists": func(v pcommon.Value, text string) {
		v.SetEmptySlice().AppendEmpty().SetEmptySlice().AppendEmpty().SetStr(text)
	},
	"list of bytes": func(v pcommon.Value, text string) {
		v.SetEmptySlice().AppendEmpty().SetEmptyBytes().FromRaw([]byte(text))
	},
}

// TestStructuresAreNotStored puts structures into every attribute that a golden
// span, resource or event has, in its place.
func TestStructuresAreNotStored(t *testing.T) {
	path := newFile(t)
	e := startExporter(t, testConfig(path))
	defer stopExporter(t, e)
	// Which attribute and structure each text stands for.
	var sent []string
	id := uint32(0)
	seen := map[string]bool{}
	batch := ptrace.NewTraces()
	for _, host := range goldenHosts(t) {
		names := func(g guest) (levels []pcommon.Map) {
			levels = append(levels, g.span.Attributes(), g.resource.Resource().Attributes())
			for _, event := range g.span.Events().All() {
				levels = append(levels, event.Attributes())
			}
			return levels
		}
		sample := host.addTo(ptrace.NewTraces(), 0)
		for level, attributes := range names(sample) {
			for name := range attributes.All() {
				// Once for each kind of span: most have what others have.
				category := fmt.Sprint(name, " ", min(level, 2), " ", host.scope.Name())
				if seen[category] {
					continue
				}
				seen[category] = true
				for _, kind := range slices.Sorted(maps.Keys(structures)) {
					id++
					value, _ := names(host.addTo(batch, id))[level].Get(name)
					structures[kind](value, fmt.Sprintf("%s-%d-", structured, len(sent)))
					sent = append(sent, fmt.Sprintf("%s of %s", kind, name))
				}
			}
		}
	}
	require.Greater(t, len(sent), 3000)
	require.NoError(t, e.ConsumeTraces(t.Context(), batch))
	var file []byte
	for _, ending := range []string{"", "-wal"} {
		b, err := os.ReadFile(path + ending)
		require.NoError(t, err)
		file = append(file, b...)
	}
	named := map[string]bool{}
	for _, match := range regexp.MustCompile(structured+`-(\d+)-`).FindAllSubmatch(file, -1) {
		i, err := strconv.Atoi(string(match[1]))
		require.NoError(t, err)
		named[sent[i]] = true
	}
	require.Empty(t, slices.Sorted(maps.Keys(named)), "these reach the file")
	require.False(t, found(file, structured), "a structure reaches the file in another writing")
}

const structured = "structured-51ab"
