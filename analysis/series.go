package analysis

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// Dimensions are the columns of a series that an answer can be split by.
// Configured dimensions can be named besides.
var Dimensions = []string{
	"run_id", "service", "operation", "kind", "category", "provider", "model", "tool", "agent", "outcome", "error_type",
	"fault",
}

// seriesValues is what a question needs to know of a series.
type seriesValues struct {
	key     string // tells groups apart
	values  []string
	success bool
	faulty  bool
}

// readSeries reads the values of by for every series that q selects.
func readSeries(ctx context.Context, q storage.Querier, query Query, by []string) (map[aggregator.SeriesID]seriesValues, error) {
	columns, args, err := dimensionColumns(ctx, q, by)
	if err != nil {
		return nil, err
	}
	where := "TRUE"
	if query.Run != nil {
		where += " AND run_id = ?"
		args = append(args, *query.Run)
	}
	if len(query.Categories) > 0 {
		where += " AND category IN (?" + strings.Repeat(", ?", len(query.Categories)-1) + ")"
		for _, c := range query.Categories {
			args = append(args, c.String())
		}
	}
	rows, err := q.QueryContext(ctx, "SELECT series_id, outcome = 'success', fault <> ''"+columns+" FROM series WHERE "+where, args...)
	if err != nil {
		return nil, fmt.Errorf("read series: %w", err)
	}
	defer rows.Close()
	all := map[aggregator.SeriesID]seriesValues{}
	for rows.Next() {
		var id aggregator.SeriesID
		v := seriesValues{values: make([]string, len(by))}
		into := []any{&id, &v.success, &v.faulty}
		for i := range v.values {
			into = append(into, &v.values[i])
		}
		if err := rows.Scan(into...); err != nil {
			return nil, fmt.Errorf("read series: %w", err)
		}
		for _, value := range v.values {
			v.key += fmt.Sprintf("%d:%s", len(value), value)
		}
		all[id] = v
	}
	return all, rows.Err()
}

// dimensionColumns returns the columns to select for by: names from a fixed
// list, or bound paths into the configured dimensions.
func dimensionColumns(ctx context.Context, q storage.Querier, by []string) (columns string, args []any, err error) {
	for _, name := range by {
		if slices.Contains(Dimensions, name) {
			columns += ", " + name
			continue
		}
		path := `$."` + name + `"`
		var known bool
		if !strings.ContainsAny(name, `"\`) {
			const look = "SELECT EXISTS (SELECT 1 FROM series WHERE json_type(dimensions, ?) IS NOT NULL)"
			if err := q.QueryRowContext(ctx, look, path).Scan(&known); err != nil {
				return "", nil, fmt.Errorf("look up dimension %q: %w", name, err)
			}
		}
		if !known {
			return "", nil, &QueryError{Part: "by", Value: strconv.Quote(name),
				Rule: "must be one of " + strings.Join(Dimensions, ", ") + ", or a dimension that is configured in the file"}
		}
		columns += ", coalesce(json_extract(dimensions, ?), '')"
		args = append(args, path)
	}
	return columns, args, nil
}
