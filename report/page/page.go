// Package page makes the page of a report: one HTML file that draws the JSON of
// a report.Report and asks nothing of any network.
//
// Three things keep names of a file, which may be anything, from doing harm:
// the JSON stands in an element that is never run, with every "<" escaped; the
// scripts make text nodes of it and nothing else; and a policy lets only the
// scripts and the styles of the page itself run.
package page

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"path"
	"strings"
	"sync"
	"text/template"
	"time"
)

// EChartsVersion is the version of Apache ECharts that draws the charts.
const EChartsVersion = "6.1.0"

//go:embed assets/*.js assets/*.css assets/page.html
var assets embed.FS

//go:embed echarts/echarts.min.js
var charts string

// scripts are the files of the page's own script, in the order in which they
// need each other; styles likewise.
var (
	scripts = []string{
		"format.js", "dom.js", "theme.js", "model.js", "zoom.js", "timechart.js", "series.js", "hover.js", "charts.js", "heatmap.js", "happenings.js",
		"headline.js", "table.js", "sections.js", "events.js", "faults.js", "impact.js", "load.js", "notes.js", "pickers.js", "live.js", "main.js",
	}
	styles = []string{"colors.css", "page.css", "sections.css", "print.css"}
)

// icon is what a tab shows.
const icon = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E%3Cpath fill='%231f6fb2' " +
	"d='M4 8h24l-3.2 19.2a2 2 0 0 1-2 1.8H9.2a2 2 0 0 1-2-1.8z'/%3E%3Cpath stroke='%23fff' stroke-width='3' " +
	"stroke-linecap='round' d='M11 23v-5M16 23V13M21 23v-8'/%3E%3C/svg%3E"

// ErrModel is returned for a model that is no JSON object.
var ErrModel = errors.New("the model of the page is no JSON object")

// Write writes the page of a report whose JSON is model. Equal arguments give
// equal bytes.
func Write(w io.Writer, title string, model []byte) error {
	if !json.Valid(model) || !bytes.HasPrefix(bytes.TrimSpace(model), []byte("{")) {
		return ErrModel
	}
	return write(w, title, "", Policy(false), model)
}

// Shell writes a page without a model. It fetches the JSON of a report with one
// pick from source, an address of the same origin, every refresh, rounded to
// seconds, one at least, and draws it anew without being loaded again.
//
// The query of source says what is wanted: run, the id of a run, which is empty
// for spans outside any and absent for every run; category, absent for those of
// the headline folded. The answer is a report.Report whose first pick is that
// one, with every width that the reader may choose; or 404 where there are no
// such spans, whereupon the page asks for more: no category, then every run.
func Shell(w io.Writer, title, source string, refresh time.Duration) error {
	seconds := max(1, int64(refresh.Round(time.Second)/time.Second))
	live := fmt.Sprintf(` data-source="%s" data-refresh="%d"`, html.EscapeString(source), seconds)
	return write(w, title, live, Policy(true), []byte("null"))
}

// Policy is the content security policy of a page, of a live one what a server
// may send as a header besides.
func Policy(live bool) string {
	p := parsed()
	policy := []string{
		"default-src 'none'", "script-src " + sourceOf(charts) + " " + sourceOf(p.script), "style-src " + sourceOf(p.style),
		"img-src data:", "base-uri 'none'", "form-action 'none'",
	}
	if live {
		policy = append(policy, "connect-src 'self'")
	}
	return strings.Join(policy, "; ")
}

// sourceOf names an inline block in a policy.
func sourceOf(block string) string {
	sum := sha256.Sum256([]byte(block))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// parts of every page.
type parts struct {
	script, style string
	page          *template.Template
}

var parsed = sync.OnceValue(func() parts {
	return parts{
		script: "(() => {\n\"use strict\";\n" + join(scripts) + "})();\n",
		style:  join(styles),
		page:   template.Must(template.New("page").Parse(join([]string{"page.html"}))),
	}
})

// join puts embedded files one after the other. That they are there is tested.
func join(names []string) string {
	var all strings.Builder
	for _, name := range names {
		text, err := assets.ReadFile(path.Join("assets", name))
		if err != nil {
			panic(err)
		}
		all.Write(text)
	}
	return all.String()
}

// write fills the page. What is no text for a person is a constant of this
// package, or model.
func write(w io.Writer, title, live, policy string, model []byte) error {
	p := parsed()
	err := p.page.Execute(w, map[string]string{
		"Title": html.EscapeString(title), "Live": live, "Policy": html.EscapeString(policy), "Icon": icon, "Style": p.style,
		"Model": inert(model), "ChartsScript": charts, "PageScript": p.script, "ECharts": EChartsVersion,
	})
	if err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	return nil
}

// inert escapes what could end the element that JSON stands in, or a line of a
// script. In JSON they occur inside strings only.
func inert(model []byte) string {
	return strings.NewReplacer("<", `\u003c`, "\u2028", `\u2028`, "\u2029", `\u2029`).Replace(string(model))
}
