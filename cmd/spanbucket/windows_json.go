package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// windowDecoder reads an array of objects, or one object after the other.
type windowDecoder struct {
	*json.Decoder
	text []byte
	// line is that of the byte at upto.
	line, upto int
	rows       []windowRow
	problems   []windowProblem
}

func parseWindowsJSON(text []byte) ([]windowRow, []windowProblem) {
	d := &windowDecoder{Decoder: json.NewDecoder(bytes.NewReader(text)), text: text, line: 1}
	d.UseNumber() // nanoseconds do not fit a float
	if err := d.objects(); err != nil {
		d.problems = append(d.problems, windowProblem{d.here(), "", "", err.Error() + "; nothing is read after it"})
	}
	return d.rows, d.problems
}

// here is the line that reading has come to.
func (d *windowDecoder) here() int {
	if at := int(d.InputOffset()); at > d.upto {
		d.line += bytes.Count(d.text[d.upto:at], []byte("\n"))
		d.upto = at
	}
	return d.line
}

// objects reads all there is.
func (d *windowDecoder) objects() error {
	inArray := false
	for {
		token, err := d.Token()
		switch {
		case errors.Is(err, io.EOF) && !inArray:
			return nil
		case errors.Is(err, io.EOF):
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		}
		switch first := len(d.rows) == 0 && !inArray; {
		case token == json.Delim('{'):
			if err := d.object(); err != nil {
				return err
			}
		case token == json.Delim('[') && first:
			inArray = true
		case token == json.Delim(']'):
			if _, err := d.Token(); !errors.Is(err, io.EOF) {
				return errors.New("the file must end with the array")
			}
			return nil
		default:
			return fmt.Errorf("%.40s: must be an array of objects, or one object per line", fmt.Sprint(token))
		}
	}
}

// object reads one row, whose brace has been read.
func (d *windowDecoder) object() error {
	row := windowRow{line: d.here(), cells: map[string]cell{}}
	names := map[string]bool{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return err
		}
		name, line := token.(string), d.here()
		var value any
		if err := d.Decode(&value); err != nil {
			return err
		}
		d.problems = append(d.problems, isColumn(line, name)...)
		if names[name] {
			d.problems = append(d.problems, windowProblem{line, "", quoted(name), "stands there twice"})
		}
		names[name] = true
		switch v := value.(type) {
		case nil:
		case string:
			if v != "" {
				row.cells[name] = cell{line: line, text: v}
			}
		default:
			// What no column takes is refused by who reads the row.
			row.cells[name] = cell{line: line, text: fmt.Sprintf("%.40s", fmt.Sprint(v)), bare: true}
		}
	}
	d.rows = append(d.rows, row)
	_, err := d.Token() // the closing brace
	return err
}
