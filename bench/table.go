package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// writeTable writes what people read.
func (r *report) writeTable(w io.Writer) error {
	r.machine.write(w)
	o := r.options
	fmt.Fprintf(w, "traffic      seed %d, %d spans a batch, one batch a second; %d rounds of %d batches (%d callers: %d)\n",
		o.seed, o.spans, o.rounds, o.batches(1), manyCallers, o.batches(manyCallers))
	for _, profile := range profiles {
		if o.onlyAnswers() {
			break
		}
		fmt.Fprintf(w, "\n%s (about %d series in all)\n", profile.Name, profile.Series)
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(t, "rows\tns/span min\tmedian\tspread\tspans/s\tallocs/span\tB/span\tx spanmetrics\t(range)\tof minima\ttarget\tgoal\t\t")
		for _, found := range r.results {
			if found.profile == profile.Name {
				found.write(t)
			}
		}
		if err := t.Flush(); err != nil {
			return err
		}
		r.writeSampled(w, profile.Name)
	}
	if err := r.writeVolume(w); err != nil {
		return err
	}
	if err := r.writeSizes(w); err != nil {
		return err
	}
	if err := r.writeGrowth(w); err != nil {
		return err
	}
	return r.writeAnswers(w)
}

func (r result) write(w io.Writer) {
	ns := r.nanoseconds()
	fmt.Fprintf(w, "%-34s\t%.0f\t%.0f\t%.0f%%\t%.0f\t%.2f\t%.0f\t", r.title, ns.least, ns.median, 100*ns.spread(), 1e9/ns.median,
		r.allocations().median, r.bytes().median)
	if len(r.peers) == 0 {
		fmt.Fprintln(w, "\t\t\t\t\t\t")
		return
	}
	ratio := r.ratio()
	fmt.Fprintf(w, "%.2f\t%.2f-%.2f\t%.2f\t", ratio.median, ratio.least, ratio.most, r.ratioOfLeast())
	limits, judged := r.limits[r.profile]
	if !judged {
		fmt.Fprintln(w, "\t\t\t")
		return
	}
	fmt.Fprintf(w, "%.2f\t%.2f\t%s\t\n", limits.target, limits.goal, r.verdict(limits))
}

func (r result) verdict(l limits) string {
	verdict := "MISSED"
	switch ratio := r.ratio().median; {
	case ratio <= l.goal:
		verdict = "goal met"
	case ratio <= l.target:
		verdict = "met"
	}
	if l.allocations == 0 {
		return verdict
	}
	if r.allocations().median > l.allocations {
		return fmt.Sprintf("%s, allocations MISSED (%g)", verdict, l.allocations)
	}
	return fmt.Sprintf("%s, allocations met (%g)", verdict, l.allocations)
}

func (r *report) writeGrowth(w io.Writer) error {
	if len(r.growth) == 0 {
		return nil
	}
	fmt.Fprintf(w, "\ngrowth: spanbucket, committed, one caller, all in one bucket of %d s; median ns/span of %d batches (min-max)\n",
		growthSeconds, growthWindow)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, g := range r.growth {
		for i, size := range g.sizes {
			c := g.costs[i]
			fmt.Fprintf(t, "%s\tat span %d\t%.0f\t(%.0f-%.0f)\tx %.2f\t", g.profile, size, c.median, c.least, c.most, c.median/g.costs[0].median)
			if i == len(g.sizes)-1 {
				fmt.Fprintf(t, "limit %.0f\t%s\t", growthLimits[g.profile], g.verdict())
			} else {
				fmt.Fprint(t, "\t\t")
			}
			fmt.Fprintln(t)
		}
	}
	return t.Flush()
}

func (g growth) verdict() string {
	if g.ratio() <= growthLimits[g.profile] {
		return "met"
	}
	return "MISSED"
}

// writeRaw writes every round as a line of a Go benchmark.
func (r *report) writeRaw(w io.Writer) {
	fmt.Fprintf(w, "\ngoos: %s\ngoarch: %s\ncpu: %s\n", r.machine.os, r.machine.arch, r.machine.cpu)
	for _, found := range r.results {
		name := fmt.Sprintf("Benchmark%s%s/%s", strings.ToUpper(found.key[:1]), found.key[1:], found.profile)
		n := r.options.spans * r.options.batches(found.callers)
		for _, c := range found.costs {
			fmt.Fprintf(w, "%s %d %.1f ns/span %.3f allocs/span %.1f B/span\n", name, n, c.nanoseconds, c.allocations, c.bytes)
		}
	}
	if r.answers != nil {
		for _, a := range r.answers.all {
			verb, _, _ := strings.Cut(a.verb, " ")
			fmt.Fprintf(w, "BenchmarkAnswers/%s %d %.3f s/answer %.1f MB\n", verb, r.answers.rows, a.took.median, a.memory)
		}
	}
	for _, g := range r.growth {
		for i, size := range g.sizes {
			fmt.Fprintf(w, "BenchmarkGrowth/%s/spans=%d %d %.1f ns/span\n", g.profile, size, size, g.costs[i].median)
		}
	}
}
