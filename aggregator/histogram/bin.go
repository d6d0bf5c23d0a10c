package histogram

import "math/bits"

// PrecisionBits is the number of bits that tell the bins of one octave apart:
// 2^6 = 64 bins, hence a relative error of at most 2^-7. Files record it in
// meta as histogram_precision_bits.
const PrecisionBits = 6

// MaxBin is the bin of the largest int64, the highest there is.
const MaxBin Bin = 3711

// exactBelow is the first value that shares its bin with another one.
const exactBelow = 2 << PrecisionBits

const octaveMask = 1<<PrecisionBits - 1

// Bin is the number of a bin, 0 … MaxBin. Bins ascend with the values in them.
type Bin uint16

// BinOf returns the bin that holds v. v must not be negative.
func BinOf(v int64) Bin {
	e := max(0, bits.Len64(uint64(v))-(PrecisionBits+1))
	return Bin(e<<PrecisionBits + int(v>>e))
}

// Lower returns the smallest value in the bin.
func (b Bin) Lower() int64 {
	if b < exactBelow {
		return int64(b)
	}
	return (int64(b)&octaveMask + 1<<PrecisionBits) << (b>>PrecisionBits - 1)
}

// Width returns how many integers the bin holds.
func (b Bin) Width() int64 {
	if b < exactBelow {
		return 1
	}
	return 1 << (b>>PrecisionBits - 1)
}

// Upper returns the largest value in the bin.
func (b Bin) Upper() int64 { return b.Lower() + (b.Width() - 1) }

// Mid returns the value that stands for the bin: its lower end plus half its
// width, rounded down.
func (b Bin) Mid() int64 { return b.Lower() + b.Width()/2 }
