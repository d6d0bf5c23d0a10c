package analysis

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// What is injected into single requests all through a run, now and then, leaves
// marks that make many short windows. They are one fault where chance would
// scatter as many marks so.
const (
	backgroundFaults = 8  // of them otherwise, at least
	backgroundMarks  = 12 // at least
	// backgroundGap is what leaves two windows apart.
	backgroundGap = int64(5 * time.Second)
	// backgroundShare of the run without a mark is no sign of an end, however
	// many marks there are: injectors come in bursts.
	backgroundShare = 0.125
	// backgroundChance is how likely a longest gap is that is still one of
	// chance.
	backgroundChance = 0.05
)

// joinBackground joins the faults of a run that nobody has announced, of one
// experiment or of none, where their marks lie all through the run.
func joinBackground(groups []*faultGroup, runs map[string]runExtent) []*faultGroup {
	type key struct{ run, experiment string }
	unsaid := map[key][]*faultGroup{}
	for _, g := range groups {
		if ids := g.experiments(); !g.said && len(ids) <= 1 {
			k := key{run: g.run}
			if len(ids) == 1 {
				k.experiment = ids[0]
			}
			unsaid[k] = append(unsaid[k], g)
		}
	}
	joined := map[*faultGroup]bool{}
	for k, of := range unsaid {
		if run, ok := runs[k.run]; ok && allThrough(of, run) {
			groups = append(groups, newBackground(k.experiment, of))
			for _, g := range of {
				joined[g] = true
			}
		}
	}
	if len(joined) == 0 {
		return groups
	}
	groups = slices.DeleteFunc(groups, func(g *faultGroup) bool { return joined[g] })
	slices.SortFunc(groups, compareGroups)
	return groups
}

// newBackground makes one fault of several, which are in the order of their
// start.
func newBackground(experiment string, of []*faultGroup) *faultGroup {
	all := &faultGroup{run: of[0].run, fault: experiment, target: of[0].target, start: of[0].start, background: true}
	for _, g := range of {
		all.end = max(all.end, g.end)
		all.windows = append(all.windows, g.windows...)
		all.kinds = append(all.kinds, g.fault)
		if all.target != nil && (g.target == nil || *g.target != *all.target) {
			all.target = nil
		}
	}
	slices.Sort(all.kinds)
	switch all.kinds = slices.Compact(all.kinds); {
	case len(all.kinds) == 1:
		all.fault, all.kinds = all.kinds[0], nil
	case experiment == "":
		all.fault = "background"
	}
	return all
}

// allThrough tells whether the marks of faults lie all through a run, as chance
// would scatter them: with no longer gap, and in about as many windows.
func allThrough(of []*faultGroup, run runExtent) bool {
	marks, covered := 0.0, int64(0)
	at, longest, windows := run.first, int64(0), 0
	var all []*FaultWindow
	for _, g := range of {
		all = append(all, g.windows...)
	}
	slices.SortFunc(all, func(a, b *FaultWindow) int { return cmp.Compare(a.StartNS, b.StartNS) })
	for i, w := range all {
		n := w.Requests
		if w.MarkedSpans != nil {
			n = *w.MarkedSpans
		}
		marks += float64(n)
		covered += w.EndNS - w.StartNS
		gap := w.StartNS - at
		longest = max(longest, gap)
		if i == 0 || gap > backgroundGap {
			windows++
		}
		at = max(at, w.EndNS)
	}
	longest = max(longest, run.last-at)
	length := float64(run.last - run.first)
	if len(of) < backgroundFaults || marks < backgroundMarks || length <= 0 {
		return false
	}
	// Of n points at random in a line of length 1, a gap is longer than x with a
	// chance of at most (n+1)(1-x)^n.
	chance := 1 - math.Pow(backgroundChance/(marks+1), 1/marks)
	if float64(longest) > max(float64(backgroundGap), max(chance, backgroundShare)*length) {
		return false
	}
	// A mark begins a window where there is none for as long as the gap, after
	// it the mean length of a mark.
	expected := 1 + marks*math.Exp(-marks/length*(float64(backgroundGap)+float64(covered)/marks))
	return float64(windows) >= expected/2 && float64(windows) <= 2*expected+2
}
