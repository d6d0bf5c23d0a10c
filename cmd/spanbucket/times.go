package main

import "github.com/spanbucket/spanbucketexporter/analysis"

// Times and widths are read in one way wherever they are asked for.
var (
	parseTime  = analysis.ParseTime
	parseWidth = analysis.ParseWidth
)
