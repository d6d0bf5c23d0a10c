// Package resampling gives intervals for figures of traffic that is measured
// in time buckets.
//
// Latency is correlated in time: a bucket after a slow one is likely to be slow
// too. Intervals that treat buckets, or requests, as independent are then far
// too narrow. The moving-block bootstrap (Künsch 1989; circular: Politis and
// Romano 1992) keeps neighbours together: a replicate is put together from
// blocks of consecutive buckets, drawn with replacement. The length of a block
// is taken from the data (Politis and White 2004, as corrected by Patton,
// Politis and White 2009).
//
// A block must be long for the correlation and short for the number of blocks;
// with few hundred buckets no length is enough, and the plain interval covers
// too little. Widening says by how much to widen it.
//
// Everything is a function of its arguments: the generator comes in seeded.
package resampling
