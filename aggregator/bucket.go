package aggregator

// BucketStart returns the start of the bucket of the given width that holds
// the instant, both in whole seconds since the Unix epoch; width must be
// positive. It rounds towards minus infinity, so instants before 1970 fall
// into the bucket that begins before them.
func BucketStart(unixSeconds, width int64) int64 {
	start := unixSeconds - unixSeconds%width
	if unixSeconds < start {
		start -= width
	}
	return start
}

// UnixSeconds returns the whole second that holds an instant given in
// nanoseconds since the Unix epoch, rounding towards minus infinity.
func UnixSeconds(unixNano int64) int64 {
	const nanosecondsPerSecond = 1_000_000_000
	seconds := unixNano / nanosecondsPerSecond
	if unixNano%nanosecondsPerSecond < 0 {
		seconds--
	}
	return seconds
}
