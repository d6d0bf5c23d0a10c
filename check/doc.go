// Package check holds a file to thresholds, to a baseline and to its objectives.
//
// A rule has one result: it passes, warns, fails, or has no data. No data is
// never a pass. A value that equals a threshold passes, for maxima and minima
// alike. What is compared is the value that the other answers report: a
// percentile is within 0.79 % of the true one, so that a result closer to its
// threshold than that can be decided either way by the true value.
package check
