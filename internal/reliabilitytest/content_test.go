package reliabilitytest

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/storage"
)

// row is a row of a relation by column.
type row map[string]any

func openReader(t *testing.T, path string) *storage.Reader {
	t.Helper()
	r, err := storage.OpenReader(context.Background(), path)
	require.NoError(t, err)
	return r
}

// eachRow calls see for every row of a query. The map is used again.
func eachRow(t *testing.T, reader *storage.Reader, query string, see func(row)) {
	t.Helper()
	require.NoError(t, scanRows(reader, query, see))
}

func scanRows(reader *storage.Reader, query string, see func(row)) error {
	rows, err := reader.QueryContext(context.Background(), query)
	if err != nil {
		return fmt.Errorf("%s: %w", query, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	values, into, stored := make([]any, len(columns)), make([]any, len(columns)), row{}
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		for i, name := range columns {
			stored[name] = values[i]
		}
		see(stored)
	}
	return rows.Err()
}

func ledgerOf(t *testing.T, reader *storage.Reader) map[string]int64 {
	t.Helper()
	ledger := map[string]int64{}
	eachRow(t, reader, "SELECT reason, spans FROM ledger", func(r row) { ledger[r["reason"].(string)] = r["spans"].(int64) })
	return ledger
}

// volatile columns are not part of the content of a file.
var volatile = map[string]bool{"late": true, "version": true, "settled": true}

// apart are the views that do not hold content: what is known of arrivals.
var apart = map[string]bool{"deduplication": true, "dead_letters": true}

// tables are those that are content besides the views.
var tables = map[string]bool{"series": true, "ledger": true, "notes": true}

// deliveries are the rows of ledger and notes that say how spans arrived.
var deliveries = map[string]bool{"received": true, "duplicate": true, "late": true}

// content is every row of every view of a file, each as the hash of its text,
// sorted.
type content map[string][]uint64

func contentOf(t *testing.T, path string) content {
	t.Helper()
	reader := openReader(t, path)
	defer func() { require.NoError(t, reader.Close()) }()
	c, err := readContent(reader)
	require.NoError(t, err)
	require.NotEmpty(t, c["timeseries"], path)
	return c
}

func readContent(reader *storage.Reader) (content, error) {
	relations, err := storage.Relations(context.Background(), reader)
	if err != nil {
		return nil, err
	}
	c := content{}
	for _, relation := range relations {
		if relation.Kind != "view" && !tables[relation.Name] || apart[relation.Name] {
			continue
		}
		err := scanRows(reader, "SELECT * FROM "+relation.Name, func(r row) {
			if text, isContent := textOf(r); isContent {
				h := fnv.New64a()
				_, _ = h.Write([]byte(text))
				c[relation.Name] = append(c[relation.Name], h.Sum64())
			}
		})
		if err != nil {
			return nil, err
		}
		slices.Sort(c[relation.Name])
	}
	return c, nil
}

// textOf is a row as text, false where it says how spans arrived.
func textOf(r row) (string, bool) {
	if reason, ok := r["reason"].(string); ok && deliveries[reason] {
		return "", false
	}
	columns := make([]string, 0, len(r))
	for name, value := range r {
		if !volatile[name] {
			columns = append(columns, fmt.Sprintf("%s=%v", name, value))
		}
	}
	slices.Sort(columns)
	return strings.Join(columns, " "), true
}

// relationsThatDiffer names the views whose rows are not the same.
func (c content) relationsThatDiffer(other content) (names []string) {
	all := map[string]bool{}
	for name := range c {
		all[name] = true
	}
	for name := range other {
		all[name] = true
	}
	for name := range all {
		if !slices.Equal(c[name], other[name]) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// requireSameContent compares two files, and shows the first rows of path that
// the reference does not have.
func requireSameContent(t *testing.T, want content, path, what string) {
	t.Helper()
	for _, name := range want.relationsThatDiffer(contentOf(t, path)) {
		reader := openReader(t, path)
		shown := 0
		eachRow(t, reader, "SELECT * FROM "+name, func(r row) {
			text, isContent := textOf(r)
			h := fnv.New64a()
			_, _ = h.Write([]byte(text))
			if _, found := slices.BinarySearch(want[name], h.Sum64()); isContent && !found && shown < 3 {
				shown++
				t.Logf("only there: %s %s", name, text)
			}
		})
		require.NoError(t, reader.Close())
		t.Errorf("%s: %s differs", what, name)
	}
}

// problemsOf is what the product's own check has to say of a file.
func problemsOf(t *testing.T, path string) (problems []string) {
	t.Helper()
	reader := openReader(t, path)
	defer func() { require.NoError(t, reader.Close()) }()
	for problem, err := range reader.Verify(context.Background()) {
		require.NoError(t, err)
		if problems = append(problems, problem.String()); len(problems) == 20 {
			break
		}
	}
	return problems
}
