package resampling

// Table holds whole columns of figures for each bucket of a run, so that the
// sum over any block of consecutive buckets costs one subtraction a column:
// row i has the sums of the buckets before i.
type Table[N int64 | float64] struct {
	buckets, columns int
	sums             []N
}

// NewTable returns a table of zeros. Both numbers must be positive.
func NewTable[N int64 | float64](buckets, columns int) *Table[N] {
	return &Table[N]{buckets, columns, make([]N, (buckets+1)*columns)}
}

// Add adds n to a column of a bucket. Every Add comes before Seal.
func (t *Table[N]) Add(bucket, column int, n N) { t.sums[(bucket+1)*t.columns+column] += n }

// Seal turns the figures into running sums.
func (t *Table[N]) Seal() {
	for i := t.columns; i < len(t.sums); i++ {
		t.sums[i] += t.sums[i-t.columns]
	}
}

// Value returns one figure of a sealed table.
func (t *Table[N]) Value(bucket, column int) N {
	at := bucket*t.columns + column
	return t.sums[at+t.columns] - t.sums[at]
}

// Total fills out, one element a column, with the sums over all buckets.
func (t *Table[N]) Total(out []N) { copy(out, t.sums[t.buckets*t.columns:]) }

// Sum fills out, one element a column, with the sums over the blocks of r: a
// bucket that was drawn twice counts twice.
func (t *Table[N]) Sum(r *Resample, out []N) {
	clear(out)
	left := t.buckets
	for _, start := range r.starts {
		length := min(r.length, left)
		left -= length
		if end := start + length; end <= t.buckets {
			t.add(out, start, end)
		} else {
			t.add(out, start, t.buckets)
			t.add(out, 0, end-t.buckets)
		}
	}
}

func (t *Table[N]) add(out []N, from, to int) {
	low := t.sums[from*t.columns:][:len(out)]
	high := t.sums[to*t.columns:][:len(out)]
	for i := range out {
		out[i] += high[i] - low[i]
	}
}
