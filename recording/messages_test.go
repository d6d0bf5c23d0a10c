package recording

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

// read returns the messages of a file, where they stand, and why it ends.
func read(file []byte) (texts []string, places []place, err error) {
	err = messages(bytes.NewReader(file), func(m message) bool {
		texts, places = append(texts, string(m.data)), append(places, m.place)
		return true
	})
	return texts, places, err
}

func prefix(messages ...string) (file []byte) {
	for _, m := range messages {
		file = append(binary.BigEndian.AppendUint32(file, uint32(len(m))), m...)
	}
	return file
}

func TestFormatsAreTold(t *testing.T) {
	one := ptrace.NewTraces()
	span := one.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetName(strings.Repeat("n", 100))
	proto, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(one)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		file   string
		want   []string
		places []place
		err    string
	}{
		"empty":                     {},
		"lines":                     {file: "{}\n{\"a\":1}\n", want: []string{"{}", `{"a":1}`}, places: []place{{1, 0}, {2, 3}}},
		"the last line has no end":  {file: "{}\n{\"a\":1}", want: []string{"{}", `{"a":1}`}},
		"CRLF, empty lines, a mark": {file: "\ufeff{}\r\n\r\n{ }\r\n", want: []string{"{}", "{ }"}, places: []place{{1, 0}, {3, 9}}},
		"only empty lines":          {file: "\n \n"},
		"a bad line":                {file: "{}\nnonsense\n{}\n", want: []string{"{}", "nonsense", "{}"}},
		"the first line is cut":     {file: "{\"a\":\n{}\n", want: []string{"{\"a\":", "{}"}},
		"one message on many lines": {file: "{\n  \"a\": 1\n}\n", want: []string{"{\n  \"a\": 1\n}\n"}, places: []place{{1, 0}}},
		"one message of protobuf":   {file: string(proto), want: []string{string(proto)}},
		"prefixed":                  {file: string(prefix("\nabc", "", "{}")), want: []string{"\nabc", "", "{}"}, places: []place{{0, 0}, {0, 8}, {0, 12}}},
		"prefixed, cut":             {file: string(prefix("\nabc", "\ndef"))[:14], want: []string{"\nabc"}, err: "ends after 2 bytes of a message of 4"},
		"prefixed, cut in a length": {file: string(prefix("\nabc")) + "\x00\x00", want: []string{"\nabc"}, err: "within the length"},
		"prefixed, too long":        {file: string(prefix("\nabc")) + "\xff\xff\xff\xffxxxx", want: []string{"\nabc"}, err: "at most 67108864 are read"},
		"a database":                {file: "SQLite format 3\x00and more", err: "it is a database"},
		"something else":            {file: "Dear aunt", err: "neither JSON nor protobuf"},
		"half of gzip":              {file: "\x1f\x8b\x08", err: "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			texts, places, err := read([]byte(c.file))
			require.Equal(t, c.want, texts)
			if c.places != nil {
				require.Equal(t, c.places, places)
			}
			if c.err == "" {
				require.NoError(t, err)
				return
			}
			var end *endError
			require.ErrorAs(t, err, &end)
			require.ErrorContains(t, err, c.err)
			require.ErrorContains(t, err, "nothing is read after it")
		})
	}
}

// TestProtobufThatLooksLikeText: the length of the first resource is that of an
// opening brace.
func TestProtobufThatLooksLikeText(t *testing.T) {
	for length := range 200 {
		one := ptrace.NewTraces()
		one.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty().SetName(strings.Repeat("n", length))
		proto, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(one)
		require.NoError(t, err)
		texts, _, err := read(proto)
		require.NoError(t, err)
		require.Equal(t, []string{string(proto)}, texts, "length %d", length)
	}
}

func TestCompressionIsUndoneTwiceAtMost(t *testing.T) {
	data := []byte("{}\n{}\n")
	for times := range 4 {
		texts, _, err := read(data)
		if times > 2 {
			require.ErrorContains(t, err, "compressed more than twice")
		} else {
			require.NoError(t, err)
			require.Len(t, texts, 2)
		}
		var out bytes.Buffer
		w := gzip.NewWriter(&out)
		_, err = w.Write(data)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		data = out.Bytes()
	}
}

// TestMessagesDoNotDependOnReads: files that come in bytes, as through a pipe,
// hold the same.
func TestMessagesDoNotDependOnReads(t *testing.T) {
	rng := seedtest.Rand(t)
	for range 200 {
		var want []string
		for range rng.IntN(5) {
			want = append(want, "{"+strings.Repeat(" ", rng.IntN(700))+"}")
		}
		for _, file := range []string{strings.Join(want, "\n"), string(prefix(want...))} {
			var got []string
			err := messages(iotest.OneByteReader(strings.NewReader(file)), func(m message) bool {
				got = append(got, string(m.data))
				return true
			})
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for data, want := range map[string]string{
		`{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"a"}]}]}`:      "unexpected end",
		`{"resourceSpans":[]}{"resourceSpans":[]}`:                         "after top-level value",
		`{"resourceMetrics":[]}`:                                           "it holds resourceMetrics, not resourceSpans",
		`{"resourceLogs":[{}]}`:                                            "it holds resourceLogs, not resourceSpans",
		`{"something":1}`:                                                  "no resourceSpans",
		`{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"x"}]}]}]}`: "trace",
		"\n\xff\xff\xff\xff\xff":                                           "",
		"nonsense":                                                         "",
		"xxxx":                                                             "no resourceSpans", // a field 15
		"\x28\xb5\x2f\xfdnonsense":                                         "",
	} {
		_, err := decode(message{data: []byte(data)})
		require.Error(t, err, data)
		require.ErrorContains(t, err, want, data)
	}
	for _, data := range []string{"", "{}", `{"resourceSpans":[]}`, `{"resourceSpans":[],"more":1}`} {
		batch, err := decode(message{data: []byte(data)})
		require.NoError(t, err, data)
		require.Zero(t, batch.SpanCount())
	}
}

// TestNoLineOfATextIsProtobuf: letters can be fields of protobuf that nobody
// knows, and would pass for a message without spans.
func TestNoLineOfATextIsProtobuf(t *testing.T) {
	for data, want := range map[string]string{
		"xxxx":     "invalid character 'x'",
		"nonsense": "invalid character 'o' in literal",
		"[]":       "not a JSON object",
		`"x"`:      "not a JSON object",
		"12":       "not a JSON object",
	} {
		_, err := decode(message{data: []byte(data), place: place{line: 7}})
		require.ErrorContains(t, err, want, data)
	}
}

// FuzzMessages: no file makes reading it panic or go on without end.
func FuzzMessages(f *testing.F) {
	f.Add([]byte("{}\n{}"))
	f.Add(prefix("\nabc", "{}"))
	f.Add([]byte("\x1f\x8b"))
	f.Add([]byte("\x28\xb5\x2f\xfd"))
	f.Fuzz(func(t *testing.T, file []byte) {
		size := 0
		_ = messages(bytes.NewReader(file), func(m message) bool {
			size += len(m.data)
			_, _ = decode(m)
			return size < 1<<20
		})
	})
}
