// Package live serves the page of a report over HTTP while a collector writes
// the file.
//
// Every answer is one report with one pick, assembled in one read transaction.
// Viewers of the same pick share it, for a second at least and until the file
// changes, so that many of them cost little more than one; none of them holds a
// transaction while its answer is on its way.
//
// On a loopback address requests must name a loopback host, so that no page of
// another site can read the file through the browser (DNS rebinding). On every
// other address a token is needed. There is no TLS.
package live
