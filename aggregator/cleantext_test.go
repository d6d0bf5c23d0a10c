package aggregator_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

const (
	truncated = aggregator.NoteValueTruncated
	invalid   = aggregator.NoteInvalidUTF8
	nul       = aggregator.NoteNULByte
)

// TestCleanTextIsStable pins what becomes of values, since they are dimensions
// of series in files.
func TestCleanTextIsStable(t *testing.T) {
	tests := []struct {
		name, value, want string
		notes             aggregator.Note
	}{
		{"nothing", "", "", 0},
		{"plain", "gpt-4o", "gpt-4o", 0},
		{"several bytes a letter", "naïve 模型 🤖", "naïve 模型 🤖", 0},
		{"the replacement character itself", "a\uFFFDb", "a\uFFFDb", 0},
		{"other control characters stay", "a\tb\n\x7f", "a\tb\n\x7f", 0},
		{"256 bytes", strings.Repeat("x", 256), strings.Repeat("x", 256), 0},
		{"257 bytes", strings.Repeat("x", 257), strings.Repeat("x", 239) + "#95eb95a462ee20bd", truncated},
		{"300 bytes", strings.Repeat("x", 300), strings.Repeat("x", 239) + "#8d4e2ca9e9cbced7", truncated},
		{"400 bytes of two-byte letters", strings.Repeat("é", 200), strings.Repeat("é", 119) + "#df20b2aa6262e99e", truncated},
		{"NUL", "a\x00b\x00", "a\uFFFDb\uFFFD", nul},
		{"NULs whose replacements are too long", strings.Repeat("\x00", 100), strings.Repeat("\uFFFD", 79) + "#cd00e292c5970d3c", nul | truncated},
		{"an invalid byte", "a\xffb", "a\uFFFDb", invalid},
		{"a run of invalid bytes", "a\xff\xfe\xfdb", "a\uFFFDb", invalid},
		{"half a letter at the end", "a\xe6\xa8", "a\uFFFD", invalid},
		{"a surrogate", "a\xed\xa0\x80b", "a\uFFFDb", invalid},
		{"an overlong NUL", "a\xc0\x80b", "a\uFFFDb", invalid},
		{"300 invalid bytes", strings.Repeat("\xff", 300), "\uFFFD#d263250339d3961c", invalid | truncated},
		{"both", "\x00\xff", "\uFFFD\uFFFD", nul | invalid},
		{"damage behind the cut", strings.Repeat("x", 300) + "\xff\x00", "", nul | invalid | truncated},
	}
	for _, test := range tests {
		got, notes := aggregator.CleanText(test.value)
		if notes != test.notes || test.want != "" && got != test.want {
			t.Errorf("%s: CleanText(%q) = %q, %b; want %q, %b", test.name, test.value, got, notes, test.want, test.notes)
		}
	}
}

var hashed = regexp.MustCompile(`#[89a-f][0-9a-f]{15}$`)

// randomText is made of what is easy and what is hard to cut or to keep.
func randomText(random *rand.Rand) string {
	pieces := []string{"a", "Z", "é", "模", "🤖", "\x00", "\xff", "\xe6\xa8", "\xf0\x9f\xa4", "\uFFFD", "#", " "}
	var b strings.Builder
	only := 1 + random.IntN(len(pieces))
	for length := random.IntN(320); b.Len() < length; {
		b.WriteString(pieces[random.IntN(only)])
	}
	return b.String()
}

// TestCleanTextOfAnything: whatever comes in, what comes out can be stored, and
// the notes say exactly what was done.
func TestCleanTextOfAnything(t *testing.T) {
	random := seedtest.Rand(t)
	for range 50_000 {
		value := randomText(random)
		got, notes := aggregator.CleanText(value)
		explain := fmt.Sprintf("CleanText(%q) = %q, %b", value, got, notes)
		if !utf8.ValidString(got) || strings.Contains(got, "\x00") || len(got) > aggregator.MaxValueBytes {
			t.Errorf("%s cannot be stored", explain)
		}
		whole := strings.ReplaceAll(strings.ToValidUTF8(value, "\uFFFD"), "\x00", "\uFFFD")
		want := aggregator.Note(0)
		if !utf8.ValidString(value) {
			want |= invalid
		}
		if strings.Contains(value, "\x00") {
			want |= nul
		}
		if len(value) > aggregator.MaxValueBytes || len(whole) > aggregator.MaxValueBytes {
			want |= truncated
		}
		if notes != want {
			t.Errorf("%s, want notes %b", explain, want)
		}
		switch {
		case want&truncated == 0:
			if got != whole {
				t.Errorf("%s, want %q", explain, whole)
			}
		case !hashed.MatchString(got):
			t.Errorf("%s does not end in a hash", explain)
		case want&invalid == 0 && !strings.HasPrefix(whole, got[:len(got)-17]):
			t.Errorf("%s does not begin as %q", explain, whole)
		}
		if again, more := aggregator.CleanText(got); again != got || more != 0 {
			t.Errorf("%s, cleaned again %q, %b", explain, again, more)
		}
		if t.Failed() {
			return
		}
	}
}

// TestCleanTextOfEveryLength walks over the limit byte by byte.
func TestCleanTextOfEveryLength(t *testing.T) {
	for _, piece := range []string{"x", "é", "模", "🤖", "\xff", "\x00", "x\xff", "\xe6\xa8"} {
		for length := range 600 {
			value := strings.Repeat(piece, length/len(piece)+1)[:length]
			got, notes := aggregator.CleanText(value)
			if len(got) > aggregator.MaxValueBytes || !utf8.ValidString(got) || strings.Contains(got, "\x00") {
				t.Fatalf("%d bytes of %q: %q", length, piece, got)
			}
			if length > aggregator.MaxValueBytes && notes&truncated == 0 {
				t.Fatalf("%d bytes of %q: notes %b", length, piece, notes)
			}
		}
	}
}

// TestLongValuesStayDistinct: two values that differ anywhere, also where one
// was cut or repaired, are two values afterwards.
func TestLongValuesStayDistinct(t *testing.T) {
	seen := map[string]string{}
	add := func(value string) {
		t.Helper()
		got, notes := aggregator.CleanText(value)
		if notes&truncated == 0 {
			t.Fatalf("%d bytes are kept whole", len(value))
		}
		if other, ok := seen[got]; ok && other != value {
			t.Errorf("%q and %q both become %q", other, value, got)
		}
		seen[got] = value
	}
	base := strings.Repeat("abcdefghij", 40)
	add(base)
	for i := range len(base) {
		add(base[:i] + "!" + base[i+1:])
		add(base[:i] + "\xff" + base[i+1:])
		add(base[:i] + "\xfe" + base[i+1:])
		add(base[:i] + "\x00" + base[i+1:])
	}
	for length := 257; length < 400; length++ {
		add(strings.Repeat("y", length))
		add(strings.Repeat("\xff", length))
	}
	add(strings.Repeat("z", 10<<20))
	add(strings.Repeat("z", 10<<20-1))
}

// TestCleanTextLetsGoOfLongValues: ten megabytes must not be kept alive by the
// 256 bytes that are left of them.
func TestCleanTextLetsGoOfLongValues(t *testing.T) {
	const size, count = 10 << 20, 20
	var kept []string
	before := heap()
	for i := range count {
		value := strings.Repeat("z", size) + fmt.Sprint(i)
		short, _ := aggregator.CleanText(value)
		kept = append(kept, short)
	}
	if grown := heap() - before; grown > size {
		t.Errorf("%d cleaned values hold %d bytes", len(kept), grown)
	}
}
