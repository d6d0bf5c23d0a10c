package check

import (
	"encoding/xml"
	"io"
	"strings"
)

// The elements of JUnit's XML, as CI servers read it.
type (
	junitSuites struct {
		XMLName xml.Name     `xml:"testsuites"`
		Suites  []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class     string        `xml:"classname,attr"`
		Name      string        `xml:"name,attr"`
		Failure   *junitMessage `xml:"failure"`
		Error     *junitMessage `xml:"error"`
		SystemOut string        `xml:"system-out,omitempty"`
	}
	junitMessage struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
	}
)

// WriteJUnit writes the report as JUnit XML: what failed is a failure, no data an
// error; a warning passes and says so in its output. describe turns a result into
// a sentence.
func (r *Report) WriteJUnit(w io.Writer, describe func(*Result) string) error {
	suite := junitSuite{Name: "spanbucket check", Tests: len(r.Results), Failures: r.Failed, Errors: r.NoData}
	for i := range r.Results {
		result := &r.Results[i]
		c := junitCase{Class: "spanbucket", Name: result.Name()}
		text := describe(result)
		switch result.Status {
		case Fail:
			c.Failure = &junitMessage{text, string(Fail)}
		case NoData:
			c.Error = &junitMessage{text, string(NoData)}
		default:
			c.SystemOut = text
		}
		suite.Cases = append(suite.Cases, c)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	encoder := xml.NewEncoder(w)
	encoder.Indent("", "  ")
	if err := encoder.Encode(junitSuites{Suites: []junitSuite{suite}}); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// Name says what a result is about: "p99 of category tool", "p95 of model x".
func (r *Result) Name() string {
	parts := []string{r.Check}
	if r.Category != nil {
		parts = append(parts, "of category", *r.Category)
	}
	if r.Model != nil {
		parts = append(parts, "of model", *r.Model)
	}
	return strings.Join(parts, " ")
}
