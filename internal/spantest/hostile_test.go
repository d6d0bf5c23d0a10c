package spantest

import (
	"bytes"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

func TestHostileIsDeterministic(t *testing.T) {
	one, same, other := Hostile(1), Hostile(1), Hostile(2)
	differ := false
	for i := range one {
		a := marshal(t, one[i].Traces)
		if one[i].Name != same[i].Name || one[i].Name != other[i].Name {
			t.Errorf("case %d is called %q, %q and %q", i, one[i].Name, same[i].Name, other[i].Name)
		}
		if !bytes.Equal(a, marshal(t, same[i].Traces)) {
			t.Errorf("%s: two runs with one seed differ", one[i].Name)
		}
		differ = differ || !bytes.Equal(a, marshal(t, other[i].Traces))
	}
	if !differ {
		t.Error("two seeds gave the same spans")
	}
}

// TestHostileSurvivesTheWire: a case that no receiver could decode would test
// nothing.
func TestHostileSurvivesTheWire(t *testing.T) {
	names := map[string]bool{}
	for _, c := range Hostile(1) {
		if names[c.Name] {
			t.Errorf("%s: twice", c.Name)
		}
		names[c.Name] = true
		data := marshal(t, c.Traces)
		decoded, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(data)
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		if !bytes.Equal(data, marshal(t, decoded)) {
			t.Errorf("%s: changes on the wire", c.Name)
		}
		if c.Traces.SpanCount() == 0 && !strings.HasPrefix(c.Name, "empty_") {
			t.Errorf("%s: no span", c.Name)
		}
	}
	t.Logf("%d cases", len(names))
}

func find(t *testing.T, name string) ptrace.Traces {
	t.Helper()
	for _, c := range Hostile(1) {
		if c.Name == name {
			return c.Traces
		}
	}
	t.Fatalf("no case %q", name)
	return ptrace.Traces{}
}

func TestHostileDuplicateKeys(t *testing.T) {
	count := func(attributes pcommon.Map, name string) (n int) {
		for key := range attributes.All() {
			if key == name {
				n++
			}
		}
		return n
	}
	for _, name := range []string{"attribute_twice", "attribute_twice_of_two_types"} {
		eachSpan(find(t, name), func(_ pcommon.Map, span ptrace.Span) {
			if n := count(span.Attributes(), "gen_ai.response.model"); n != 2 {
				t.Errorf("%s: %d times", name, n)
			}
		})
	}
	eachSpan(find(t, "service_name_twice"), func(resource pcommon.Map, _ ptrace.Span) {
		if n := count(resource, "service.name"); n != 2 {
			t.Errorf("service.name: %d times", n)
		}
	})
}

func TestHostileSizes(t *testing.T) {
	for _, name := range []string{"span_name_10mb", "attribute_10mb", "service_name_10mb", "attribute_name_10mb"} {
		if size := len(marshal(t, find(t, name))); size < 10*megabyte {
			t.Errorf("%s: %d bytes", name, size)
		}
	}
	eachSpan(find(t, "attributes_10000"), func(_ pcommon.Map, span ptrace.Span) {
		if n := span.Attributes().Len(); n < 10_000 {
			t.Errorf("%d attributes", n)
		}
	})
	eachSpan(find(t, "map_of_1000_levels"), func(_ pcommon.Map, span ptrace.Span) {
		v, _ := span.Attributes().Get("deep")
		levels := 0
		for v.Type() == pcommon.ValueTypeMap {
			v, _ = v.Map().Get("k")
			levels++
		}
		if levels != 1000 {
			t.Errorf("%d levels", levels)
		}
	})
}
