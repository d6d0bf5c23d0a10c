package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/spanbucket/spanbucketexporter/report/tables"
)

// WriteMarkdown writes the first pick of the report as Markdown with tables, as
// a pull request shows it. Names that come from spans are code, and running
// text is escaped, so that neither is Markdown, HTML, a link or a mention.
func (r *Report) WriteMarkdown(w io.Writer) error {
	d := r.document()
	for i, b := range d.blocks {
		if i > 0 {
			if _, err := io.WriteString(w, "\n"); err != nil {
				return err
			}
		}
		if err := writeMarkdownBlock(w, b); err != nil {
			return err
		}
	}
	return nil
}

func writeMarkdownBlock(w io.Writer, b block) (err error) {
	switch b := b.(type) {
	case heading:
		_, err = fmt.Fprintf(w, "%s %s\n", strings.Repeat("#", b.level+1), escapeMarkdown(b.text))
	case paragraph:
		_, err = fmt.Fprintln(w, escapeMarkdown(string(b)))
	case facts:
		for _, line := range b {
			if _, err := fmt.Fprintf(w, "- **%s**: %s\n", escapeMarkdown(line[0]), escapeMarkdown(line[1])); err != nil {
				return err
			}
		}
	case grid:
		err = writeMarkdownGrid(w, &b)
	}
	return err
}

func writeMarkdownGrid(w io.Writer, g *grid) error {
	var out strings.Builder
	rule := ""
	for _, c := range g.columns {
		head := c.head
		if c.group != "" {
			head = c.group + " " + head
		}
		out.WriteString("| " + escapeMarkdown(head) + " ")
		if c.kind == number {
			rule += "|---:"
		} else {
			rule += "|---"
		}
	}
	out.WriteString("|\n" + rule + "|\n")
	for _, row := range g.rows {
		for i, cell := range row {
			if g.columns[i].kind == name && cell != tables.Missing {
				cell = markdownCode(cell)
			} else {
				cell = escapeMarkdown(cell)
			}
			out.WriteString("| " + cell + " ")
		}
		out.WriteString("|\n")
	}
	if g.more != "" {
		out.WriteString("\n" + escapeMarkdown(g.more) + "\n")
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// maxMarkdownName bounds a name, in characters.
const maxMarkdownName = 80

// markdownCode makes text code in the cell of a table. In a code span nothing is
// read but a grave accent, and by some a backslash or a pipe: text with one of
// these is written letter by letter.
func markdownCode(text string) string {
	text = tables.Cut(tables.Clean(text), maxMarkdownName)
	if !strings.ContainsAny(text, "`|\\") && strings.TrimSpace(text) == text {
		return "`" + text + "`"
	}
	var out strings.Builder
	for _, r := range text {
		if r < 0x80 && !('0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z') {
			fmt.Fprintf(&out, "&#%d;", r)
		} else {
			out.WriteRune(r)
		}
	}
	return "<code>" + out.String() + "</code>"
}

// markdownEscapes are the characters that Markdown or HTML could read, and the
// beginnings of links and mentions.
var markdownEscapes = strings.NewReplacer(
	`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "{", `\{`, "}", `\}`, "[", `\[`, "]", `\]`, "<", "&lt;", ">", "&gt;",
	"#", `\#`, "|", `\|`, "~", `\~`, "&", "&amp;", "!", `\!`, "$", `\$`, "@", "@\u2060", "://", `\://`, "www.", `www\.`, "WWW.", `WWW\.`,
)

// escapeMarkdown makes running text of one line that says what it says.
func escapeMarkdown(text string) string {
	text = markdownEscapes.Replace(tables.Clean(text))
	// What makes a list, a rule or a heading at the beginning of a line.
	if text != "" && strings.ContainsAny(text[:1], "+-=") && text != tables.Missing {
		text = `\` + text
	}
	return text
}
