// Command spanbucket answers questions about a file that the spanbucket
// exporter has written.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"github.com/spanbucket/spanbucketexporter/report/tables"
)

func main() {
	// A reader of the answer that has seen enough makes writing it fail, instead
	// of ending the program before it has tidied up.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	code := run(ctx, os.Args[1:], os.Stdin, stdout(), os.Stderr)
	stop()
	os.Exit(code)
}

// stdout is where answers go; where that is a terminal it knows its width.
func stdout() io.Writer {
	columns, _, err := term.GetSize(int(os.Stdout.Fd()))
	if err != nil || columns <= 0 {
		return os.Stdout
	}
	return tables.Terminal{Writer: os.Stdout, Columns: columns}
}
