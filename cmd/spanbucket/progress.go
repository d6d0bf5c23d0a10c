package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spanbucket/spanbucketexporter/report/tables"
)

// progress shows on stderr how far long work has come. It is not safe for
// concurrent use.
type progress struct {
	to    io.Writer // nil: nobody looks
	unit  string
	size  bool // the numbers are bytes
	now   func() time.Time
	began time.Time
	last  time.Time
	wide  int // columns of what is on the line
}

// progressEvery is how often it is written.
const progressEvery = 200 * time.Millisecond

// newProgress returns progress that is shown where stderr is a terminal, or
// where it is asked for; never where quiet is.
func (p *program) newProgress(asked, quiet bool, unit string) *progress {
	shown := &progress{unit: unit, now: time.Now, began: time.Now()}
	if !quiet && (asked || isTerminal(p.stderr)) {
		shown.to = p.stderr
	}
	return shown
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// show says that so many of about total are done; a total of 0 is unknown.
func (p *progress) show(done, total int64) {
	p.showWith(done, total, "")
}

// showWith is show with something to add.
func (p *progress) showWith(done, total int64, more string) {
	if p.to == nil || (total <= 0 || done < total) && p.now().Sub(p.last) < progressEvery {
		return
	}
	p.last = p.now()
	line := p.number(done)
	if total > 0 {
		line += " of " + p.number(max(done, total))
	}
	if !p.size {
		line += " " + p.unit
	}
	if total > 0 {
		line += fmt.Sprintf(" (%d %%)", int64(float64(done)*100/float64(max(done, total))))
	}
	if seconds := p.now().Sub(p.began).Seconds(); seconds >= 1 {
		line += ", " + p.number(int64(float64(done)/seconds)) + "/s"
	}
	line += more
	fmt.Fprintf(p.to, "\r%-*s", p.wide, line)
	p.wide = len(line)
}

func (p *progress) number(n int64) string {
	if p.size {
		return tables.Bytes(n)
	}
	return tables.Count(n)
}

// end ends the line.
func (p *progress) end() {
	if p.wide > 0 {
		fmt.Fprintln(p.to)
		p.wide = 0
	}
}
