// Package browsertest shows the page of a report to a real browser: see its
// tests. It is a module of its own, so that nobody who builds the exporter
// needs what drives a browser.
package browsertest
