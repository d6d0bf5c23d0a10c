// Package report puts every answer about a file together into one [Report],
// read in one transaction, and renders it: as JSON, as text for a terminal and
// as Markdown. The page (package report/page) draws the JSON.
//
// A report holds nothing of the moment or the place in which it is made: no
// clock, no path, no size of the file. Two reports of a file whose data has
// settled are equal byte for byte.
package report
