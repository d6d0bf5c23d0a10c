package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/storage"
)

// exportedRows are the rows of a relation, column by column.
func exportedRows(t *testing.T, path, relation string, more ...string) (rows []map[string]any) {
	t.Helper()
	var out bytes.Buffer
	code := testProgram(&out).run(t.Context(), append([]string{"export", relation, "--db", path, "--format", "jsonl"}, more...))
	require.Equal(t, exitFine, code, relation)
	for line := range strings.Lines(out.String()) {
		row := map[string]any{}
		decoder := json.NewDecoder(strings.NewReader(line))
		decoder.UseNumber() // some have 63 bits
		require.NoError(t, decoder.Decode(&row))
		rows = append(rows, row)
	}
	return rows
}

// relationsOf are the relations that can be exported.
func relationsOf(t *testing.T, path string) []storage.Relation {
	t.Helper()
	r, err := storage.OpenReader(t.Context(), path)
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	relations, err := storage.Relations(t.Context(), r)
	require.NoError(t, err)
	return slices.DeleteFunc(relations, func(r storage.Relation) bool { return r.Name == "fingerprint_key" })
}

// An anonymous export of anything has other values where somebody could be known
// by them, equal ones for equal ones, and the same everywhere else.
func TestAnonymousExports(t *testing.T) {
	path := filepath.Join(t.TempDir(), "story.db")
	require.NoError(t, writeStory(t.Context(), path))
	stands, disguised := map[string]string{}, 0
	digits := regexp.MustCompile(`^([0-9a-f]{16}|[0-9a-f]{32})$`)
	for _, relation := range relationsOf(t, path) {
		plain, anonymous := exportedRows(t, path, relation.Name), exportedRows(t, path, relation.Name, "--anonymize")
		require.Len(t, anonymous, len(plain), relation.Name)
		for i, row := range plain {
			for column, value := range row {
				shown, right := anonymous[i][column], false
				text, _ := value.(string)
				pseudonym, _ := shown.(string)
				how := disguises[column]
				if relation.Name == "meta" && column == "value" {
					how = disguises[fmt.Sprint(row["key"])]
				}
				switch {
				case how == disguiseNumber && value != nil:
					number := fmt.Sprint(value)
					known, seen := stands[number]
					right = value != shown && (!seen || known == fmt.Sprint(shown))
					stands[number] = fmt.Sprint(shown)
				case how == disguiseAll:
					right = shown == nil
				case how == 0, text == "", strings.Trim(text, "0") == "": // zeros are no id
					right = value == shown
				case how == disguiseValues:
					right = text == "{}" && shown == "{}"
				default:
					known, seen := stands[text]
					right = digits.MatchString(pseudonym) && pseudonym != text && (!seen || known == pseudonym)
					stands[text] = pseudonym
					disguised++
				}
				if !right {
					t.Fatalf("%s.%s: %v became %v", relation.Name, column, value, shown)
				}
			}
		}
	}
	require.Greater(t, disguised, 1000)
	for _, row := range exportedRows(t, path, "meta") {
		if row["key"] == "writer_id" {
			require.NotEmpty(t, stands[fmt.Sprint(row["value"])], "the file's own id is one of those")
		}
	}
	pseudonyms := map[string]bool{}
	for _, text := range stands {
		require.False(t, pseudonyms[text], "two values with one pseudonym")
		pseudonyms[text] = true
	}
	// What is exported apart can be joined.
	sessions := map[any]bool{}
	for _, row := range exportedRows(t, path, "sessions", "--anonymize") {
		sessions[row["session_id"]] = true
	}
	require.Len(t, sessions, 3)
	for _, row := range exportedRows(t, path, "requests", "--anonymize", "--run", "load-7") {
		if id := row["session_id"]; id != nil && !sessions[id] {
			t.Fatalf("%v is no session", id)
		}
	}
	// Another file has another secret.
	other := filepath.Join(t.TempDir(), "story.db")
	require.NoError(t, writeStory(t.Context(), other))
	for _, row := range exportedRows(t, other, "sessions", "--anonymize") {
		require.False(t, sessions[row["session_id"]])
	}
}

// Somebody has thought about every column that looks as if it named somebody.
func TestColumnsThatIdentifyAreKnown(t *testing.T) {
	path := smallFile(t, 10)
	stays := []string{
		"id", "run_id", "window_id", "experiment_id", "bucket_id", "slo_id", // ours, or names
		"key", "relation",
	}
	identifies := regexp.MustCompile(`id$|session|instance|user|host|dimension|attribute|json|payload|key|fingerprint|ip$|address`)
	seen := map[string]bool{}
	for _, relation := range relationsOf(t, path) {
		for _, column := range relation.Columns {
			seen[column.Name] = true
			if identifies.MatchString(column.Name) && disguises[column.Name] == 0 {
				require.Contains(t, stays, column.Name, relation.Name)
			}
		}
	}
	for name := range disguises {
		require.True(t, seen[name], "no relation has a column %s", name)
	}
}

// Values of configured dimensions are disguised one by one, and what cannot be
// read is not shown.
func TestAnonymousDimensions(t *testing.T) {
	r, err := storage.OpenReader(t.Context(), smallFile(t, 10))
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	pseudonyms, err := storage.ReadPseudonyms(t.Context(), r)
	require.NoError(t, err)
	a := &anonymous{pseudonyms: pseudonyms}
	shown, err := a.disguised(`{"tenant":"acme","none":"","user.id":"ann"}`, disguiseValues)
	require.NoError(t, err)
	require.JSONEq(t, `{"tenant":"`+pseudonyms.Of("acme", 32)+`","none":"","user.id":"`+pseudonyms.Of("ann", 32)+`"}`, shown.(string))
	for _, odd := range []any{`{"tenant":{"name":"acme"}}`, "acme", int64(7), nil, []byte("acme")} {
		shown, err := a.disguised(odd, disguiseValues)
		require.NoError(t, err)
		require.Nil(t, shown, "%v", odd)
	}
}
