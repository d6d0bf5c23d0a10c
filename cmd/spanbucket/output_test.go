package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/report/tables"
)

func TestCSVRunsNothing(t *testing.T) {
	number, amount, text := int64(-5), -0.5, "+1"
	var out strings.Builder
	err := writeCSV(&out, []string{"=name"}, [][]any{
		{"=1+1"}, {"+1"}, {"-1"}, {"@SUM(A1)"}, {"\t=1"}, {"\r=1"}, {"'quoted"}, {"a=b"}, {`say "hi", you`}, {""},
		{int64(-5)}, {-0.5}, {&number}, {&amount}, {&text}, {(*int64)(nil)}, {(*float64)(nil)}, {(*string)(nil)}, {nil},
		{true}, {false}, {1e21}, {1e-9},
	})
	if err != nil {
		t.Fatal(err)
	}
	reader := csv.NewReader(strings.NewReader(strings.ReplaceAll(out.String(), "\n\n", "\n\"\"\n")))
	records, err := reader.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range records {
		got = append(got, strings.Join(r, "|"))
	}
	want := []string{
		"'=name", "'=1+1", "'+1", "'-1", "'@SUM(A1)", "'\t=1", "'\r=1", "'quoted", "a=b", `say "hi", you`,
		"-5", "-0.5", "-5", "-0.5", "'+1", "1", "0", "1000000000000000000000", "0.000000001",
	}
	got = deleteEmpty(got)
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func deleteEmpty(texts []string) (kept []string) {
	for _, text := range texts {
		if text != "" {
			kept = append(kept, text)
		}
	}
	return kept
}

func TestJSONCarriesItsVersionFirst(t *testing.T) {
	for want, answer := range map[string]any{
		"{\n  \"schema_version\": 1\n}\n": struct{}{},
		"{\n  \"schema_version\": 1,\n  \"a\": \"<&>\"\n}\n": struct {
			A string `json:"a"`
		}{"<&>"},
	} {
		var out strings.Builder
		if err := writeJSON(&out, answer); err != nil || out.String() != want {
			t.Errorf("got %s, %v, want %s", out.String(), err, want)
		}
	}
	if err := writeJSON(&strings.Builder{}, []int{1}); err == nil {
		t.Error("an array was taken for an answer")
	}
}

// full is a disk without room.
type full struct{}

var errFull = errors.New("no space left on device")

func (full) Write([]byte) (int, error) { return 0, errFull }

// An answer that could not be written is an error, not a success.
func TestOutputErrorsAreReported(t *testing.T) {
	table := tables.New([]int{1})
	table.Number("n", func(*int) string { return "1" })
	for name, err := range map[string]error{
		"json": writeJSON(full{}, struct{}{}), "csv": writeCSV(full{}, []string{"a"}, nil),
		"table": table.Write(full{}), "facts": tables.WriteFacts(full{}, [][2]string{{"a", "b"}}),
	} {
		if !errors.Is(err, errFull) {
			t.Errorf("%s: error %v, want %v", name, err, errFull)
		}
	}
}

// TestJoinedErrorsStandOnOneLine: what joins errors writes each on a line of its
// own, and interrupted work says several times that it was.
func TestJoinedErrorsStandOnOneLine(t *testing.T) {
	interrupted := errors.Join(context.Canceled, errors.Join(context.Canceled, errors.New("close: it is closed")))
	require.Equal(t, "context canceled; close: it is closed", oneLine(fmt.Errorf("%w", interrupted)))
	require.Equal(t, "plain", oneLine(errors.New("plain")))
}
