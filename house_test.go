package spanbucketexporter

import (
	"go/ast"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// longFiles may have more than 300 lines, each for its reason. None may have
// more than 600.
var longFiles = map[string]string{}

func TestFilesAreShort(t *testing.T) {
	const long, tooLong = 300, 600
	grown := map[string]bool{}
	for _, f := range readSources(t) {
		if f.generated() {
			continue
		}
		assert.LessOrEqual(t, f.lines, tooLong, "%s: split it at the second noun", f.path)
		if f.isTest || f.lines <= long {
			continue
		}
		grown[f.path] = true
		assert.Contains(t, longFiles, f.path, "%d lines: split it, or give the reason in longFiles", f.lines)
	}
	for file := range longFiles {
		assert.Contains(t, grown, file, "is short again: take it off longFiles")
	}
}

func TestPackagesHaveOneComment(t *testing.T) {
	comments := map[string][]string{}
	for _, f := range readSources(t) {
		if f.isTest {
			continue
		}
		if _, seen := comments[f.room]; !seen {
			comments[f.room] = nil
		}
		if f.syntax.Doc != nil {
			comments[f.room] = append(comments[f.room], f.path)
		}
	}
	// mdatagen writes none.
	delete(comments, "internal/metadatatest")
	for room, files := range comments {
		assert.Len(t, files, 1, "%s: one file carries the package comment", room)
	}
}

func TestProductionCodeImportsNoTesting(t *testing.T) {
	for _, f := range readSources(t) {
		if !f.isTest && !strings.HasSuffix(f.room, "test") {
			assert.NotContains(t, f.imports, "testing", f.path)
		}
	}
}

// TestClockIsAnArgument keeps reading the clock to the rooms at the edge;
// elsewhere time is an argument.
func TestClockIsAnArgument(t *testing.T) {
	edges := []string{".", "storage", "query", "live", "fakellm", "stress", "cmd", "internal/traffic", "bench"}
	for _, f := range readSources(t) {
		if f.isTest || slices.ContainsFunc(edges, func(edge string) bool {
			return f.room == edge || edge != "." && strings.HasPrefix(f.room, edge+"/")
		}) {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			selector, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if name, ok := selector.X.(*ast.Ident); ok && name.Name == "time" {
				assert.NotContains(t, []string{"Now", "Since", "Until", "After", "Tick", "NewTicker", "NewTimer", "Sleep"},
					selector.Sel.Name, f.path)
			}
			return true
		})
	}
}

// drawers are names that say nothing about what is inside.
var drawers = regexp.MustCompile(`^(utils?|common|helpers?|misc|shared)(_test)?$`)

func TestNamesSayWhatIsInside(t *testing.T) {
	for _, f := range readSources(t) {
		for _, name := range []string{strings.TrimSuffix(path.Base(f.path), ".go"), path.Base(f.room)} {
			assert.NotRegexp(t, drawers, name, f.path)
		}
	}
}

// TestModuleHasNoReplace: a replace directive is ignored by those who import
// the module and breaks `go install …@version`.
func TestModuleHasNoReplace(t *testing.T) {
	_, replaced := readModule(t, ".")
	assert.Zero(t, replaced)
	_, replaced = readModule(t, "cmd/otelcol-spanbucket")
	assert.Equal(t, 1, replaced, "the collector's module is where the count can be seen to work")
}

// private is what only holds on the machine where it was written. It is put
// together from parts, so that this file does not hold it.
var private = regexp.MustCompile(strings.Join([]string{
	`(?:^|[\s"'=:(])/(?:` + strings.Join([]string{"wor" + "k", "roo" + "t", "far" + "m", "hom" + "e", "User" + "s"}, "|") + `)/`,
	`GO` + `PROXY=`, `--regis` + `try`, `proxy\.gol` + `ang\.org`, `sum\.gol` + `ang\.org`,
	`registry\.npm` + `js`, `pypi\.o` + `rg`, `deb\.debi` + `an\.org`,
}, "|"))

func TestNoMachineInTheTree(t *testing.T) {
	for _, text := range []string{"see /wor" + "k/x", `"/roo` + `t/.cache"`, "GO" + "PROXY=off"} {
		require.Regexp(t, private, text)
	}
	for _, text := range []string{"cmd/work/x", "a/root/b", "POST /v1/home"} {
		require.NotRegexp(t, private, text)
	}
	files := 0
	walkTree(t, func(file string) {
		if slices.Contains([]string{".db", ".sum"}, path.Ext(file)) || strings.Contains(file, ".db-") || file == ".git" {
			return // .git is a file in a second work tree
		}
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		files++
		for i, line := range strings.Split(string(text), "\n") {
			if found := private.FindString(line); found != "" {
				t.Errorf("%s:%d: %q belongs to one machine", file, i+1, found)
			}
		}
	})
	assert.Greater(t, files, 100)
}
