package spanbucketexporter

import (
	"fmt"
	"go/ast"
	"go/token"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// TestSchemaPage compares docs/schema.md with a file: every relation and every
// column, in order, and every key of meta.
func TestSchemaPage(t *testing.T) {
	schema := readPage(t, "docs/schema.md")
	file := openReader(t, trafficFile(t))
	relations := column(t, file, `SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite%'`)
	require.Greater(t, len(relations), 10)
	for _, relation := range relations {
		written := schema.under(t, "`"+relation+"`", "column").firstCodes()
		assert.Equal(t, column(t, file, "SELECT name FROM pragma_table_info('"+relation+"')"), written, relation)
	}
	for _, found := range schema.tables() {
		if found.header[0] == "column" {
			assert.Contains(t, relations, strings.Trim(found.heading, "`"), "there is no such relation")
		}
	}
	keys := schema.under(t, "`meta`", "key").firstCodes()
	assert.ElementsMatch(t, column(t, file, "SELECT key FROM meta"), keys)
	assert.Contains(t, schema.text, "schema version "+column(t, file, "PRAGMA user_version")[0])
	id, err := strconv.Atoi(column(t, file, "PRAGMA application_id")[0])
	require.NoError(t, err)
	assert.Contains(t, schema.text, "`0x"+strconv.FormatInt(int64(id), 16)+"`")
	assert.Equal(t, enumNames(aggregator.NumCategories), sortedNames(codeSpans(cellOf(t, schema, "`timeseries`", "`category`"))), "categories")
	assert.Equal(t, enumNames(aggregator.NumMeasures), sortedNames(codeSpans(strings.ReplaceAll(cellOf(t, schema, "`bins`", "`measure`"), "(only", ""))))
}

// TestChangelogNamesTheSchema: every relation, and the version that files are
// brought to.
func TestChangelogNamesTheSchema(t *testing.T) {
	_, stored, found := strings.Cut(readPage(t, "CHANGELOG.md").text, "### Stored data")
	require.True(t, found)
	file := openReader(t, trafficFile(t))
	for _, relation := range column(t, file, "SELECT name FROM sqlite_schema WHERE type = 'view'") {
		assert.Contains(t, stored, "`"+relation+"`")
	}
	assert.Contains(t, stored, fmt.Sprintf("- Schema version %d:", storage.SchemaVersion))
	assert.Contains(t, stored, fmt.Sprintf("Older files are brought to version %d ", storage.SchemaVersion))
}

// cellOf returns the last cell of the row that begins with a cell.
func cellOf(t *testing.T, p markdownPage, heading, first string) string {
	t.Helper()
	for _, row := range p.under(t, heading, "column").rows {
		if row[0] == first {
			return row[len(row)-1]
		}
	}
	t.Fatalf("%s: no row %s under %s", p.path, first, heading)
	return ""
}

// enumNames returns the names of an enumeration that ends before end, sorted.
func enumNames[E interface {
	~uint8
	String() string
}](end E) (all []string) {
	for e := E(0); e < end; e++ {
		all = append(all, e.String())
	}
	return sortedNames(all)
}

func sortedNames(names []string) []string { return slices.Sorted(slices.Values(names)) }

// TestDialectsPageReasons compares the reasons in docs/dialects.md with the
// code. The tables of attributes are compared in package spans.
func TestDialectsPageReasons(t *testing.T) {
	dialects := readPage(t, "docs/dialects.md")
	var rejections []string
	for r := aggregator.NotRejected + 1; r < aggregator.NumRejections; r++ {
		rejections = append(rejections, r.String())
	}
	assert.ElementsMatch(t, rejections, dialects.under(t, "Rejection", "reason").firstCodes())
	assert.ElementsMatch(t, noteNames(t), dialects.under(t, "Notes", "note").firstCodes())
	for o := range aggregator.NumOutcomes {
		assert.Contains(t, dialects.text, "`"+o.String()+"`")
	}
}

// noteNames returns every note that the code can write: the names that
// aggregator gives its bits, and what storage passes to its method note, or
// puts together as dimension_dropped:NAME.
func noteNames(t *testing.T) []string {
	found := map[string]bool{}
	literal := func(e ast.Expr) {
		if l, ok := e.(*ast.BasicLit); ok && l.Kind == token.STRING {
			name, err := strconv.Unquote(l.Value)
			require.NoError(t, err)
			if strings.HasSuffix(name, ":") {
				name += "NAME"
			}
			if strings.HasPrefix(name, "dimension_dropped:") {
				name = "dimension_dropped:NAME"
			}
			found[name] = true
		}
	}
	for _, f := range readSources(t) {
		if f.isTest || f.room != "aggregator" && f.room != "storage" {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ValueSpec:
				if n.Names[0].Name == "noteNames" {
					for _, e := range n.Values[0].(*ast.CompositeLit).Elts {
						literal(e)
					}
				}
			case *ast.CallExpr:
				if method, ok := n.Fun.(*ast.SelectorExpr); ok && method.Sel.Name == "note" {
					literal(n.Args[0])
				}
			case *ast.BinaryExpr:
				if l, ok := n.X.(*ast.BasicLit); ok && strings.HasPrefix(l.Value, `"dimension_dropped`) {
					literal(l)
				}
			}
			return true
		})
	}
	require.Contains(t, found, "late")
	return slices.Collect(maps.Keys(found))
}

// TestDependenciesPage compares docs/dependencies.md with what each module
// imports.
func TestDependenciesPage(t *testing.T) {
	dependencies := readPage(t, "docs/dependencies.md")
	files := readSources(t)
	modules := 0
	for _, found := range dependencies.tables() {
		folder := strings.Trim(found.heading, "`")
		if folder == "The exporter" {
			folder = "."
		}
		var written []string
		for _, row := range found.rows {
			require.Len(t, row, len(found.header), row)
			written = append(written, codeSpans(row[0])...)
			for _, cell := range row {
				assert.NotEmpty(t, cell, row)
			}
		}
		direct := directModules(t, files, folder)
		assert.ElementsMatch(t, slices.Collect(maps.Keys(direct)), written, "direct requirements of %s", folder)
		modules++
	}
	for _, f := range files {
		assert.Contains(t, dependencies.text, map[bool]string{true: "The exporter", false: "`" + f.module + "`"}[f.module == "."])
	}
	assert.GreaterOrEqual(t, modules, 2)
}

var markdownLink = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// TestLinksLead checks that links between pages lead to files and headings
// that are there.
func TestLinksLead(t *testing.T) {
	links := 0
	walkTree(t, func(file string) {
		if path.Ext(file) != ".md" {
			return
		}
		for _, match := range markdownLink.FindAllStringSubmatch(readPage(t, file).text, -1) {
			target, anchor, _ := strings.Cut(match[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			links++
			to := file
			if target != "" {
				to = path.Join(path.Dir(file), target)
			}
			_, err := os.Stat(to)
			if assert.NoError(t, err, "%s: %s", file, match[1]) && anchor != "" {
				assert.Contains(t, anchors(readPage(t, to)), anchor, "%s: %s", file, match[1])
			}
		}
	})
	assert.Greater(t, links, 5)
}

// anchors returns the names that GitHub gives the headings of a page.
func anchors(p markdownPage) (all []string) {
	drop := regexp.MustCompile(`[^a-z0-9 _-]`)
	for line := range strings.Lines(p.text) {
		if heading, found := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); found && line[0] == '#' {
			all = append(all, strings.ReplaceAll(drop.ReplaceAllString(strings.ToLower(strings.TrimSpace(heading)), ""), " ", "-"))
		}
	}
	return all
}

// column returns the only column of a query, as text.
func column(t *testing.T, reader *storage.Reader, text string) (values []string) {
	t.Helper()
	for _, r := range query(t, reader, text) {
		require.Len(t, r, 1)
		for _, value := range r {
			values = append(values, fmt.Sprint(value))
		}
	}
	return values
}
