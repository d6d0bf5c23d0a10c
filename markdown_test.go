package spanbucketexporter

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// markdownPage is a Markdown page of the project, as far as the tests read it.
type markdownPage struct {
	path string
	text string
}

func readPage(t *testing.T, path string) markdownPage {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return markdownPage{path, string(text)}
}

// fences returns the contents of the fenced blocks of a language.
func (p markdownPage) fences(language string) (blocks []string) {
	var block strings.Builder
	inside := ""
	for line := range strings.Lines(p.text) {
		fence, found := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case found && inside == "":
			inside = "```" + fence
		case found && fence == "":
			if inside == "```"+language {
				blocks = append(blocks, block.String())
			}
			block.Reset()
			inside = ""
		case inside == "```"+language:
			block.WriteString(line)
		}
	}
	return blocks
}

// markdownTable is a table and the heading it stands under.
type markdownTable struct {
	heading string
	header  []string
	rows    [][]string
}

// tables returns the tables of the page, in order.
func (p markdownPage) tables() (tables []markdownTable) {
	heading := ""
	inTable, inFence := false, false
	for line := range strings.Lines(p.text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "```") {
			inFence = !inFence
		}
		switch {
		case inFence:
			inTable = false
		case strings.HasPrefix(line, "#"):
			heading = strings.TrimSpace(strings.TrimLeft(line, "#"))
			inTable = false
		case !strings.HasPrefix(line, "|"):
			inTable = false
		case !inTable:
			tables = append(tables, markdownTable{heading: heading, header: tableCells(line)})
			inTable = true
		case strings.Trim(line, "|-: ") != "":
			last := &tables[len(tables)-1]
			last.rows = append(last.rows, tableCells(line))
		}
	}
	return tables
}

// under returns the only table under a heading whose first column is titled
// so.
func (p markdownPage) under(t *testing.T, heading, column string) markdownTable {
	t.Helper()
	var found []markdownTable
	for _, candidate := range p.tables() {
		if candidate.heading == heading && candidate.header[0] == column {
			found = append(found, candidate)
		}
	}
	require.Len(t, found, 1, "%s: tables of %q under %q", p.path, column, heading)
	return found[0]
}

func tableCells(row string) []string {
	row = strings.TrimSuffix(strings.TrimPrefix(row, "|"), "|")
	parts := strings.Split(row, "|")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

var codeSpan = regexp.MustCompile("`([^`]+)`")

// codeSpans returns what a cell sets in code type.
func codeSpans(cell string) (names []string) {
	for _, match := range codeSpan.FindAllStringSubmatch(cell, -1) {
		names = append(names, match[1])
	}
	return names
}

// firstCodes returns the code of the first column, row by row.
func (m markdownTable) firstCodes() (names []string) {
	for _, row := range m.rows {
		names = append(names, codeSpans(row[0])...)
	}
	return names
}
