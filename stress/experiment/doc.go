// Package experiment makes a load, has faults injected in its middle, tests how
// the API takes what is wrong, and sees to it that a collector keeps what
// happened: it starts a fake model where no target is named, and a collector
// where no endpoint is.
package experiment
