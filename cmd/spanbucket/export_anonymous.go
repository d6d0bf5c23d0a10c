package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/spanbucket/spanbucketexporter/storage"
)

// disguise is what becomes of the values of a column with --anonymize.
type disguise int

const (
	disguiseText   disguise = iota + 1 // a pseudonym of 32 digits
	disguiseTrace                      // the same, of bytes too
	disguiseSpan                       // one of 16 digits
	disguiseNumber                     // a number in the place of a number
	disguiseValues                     // pseudonyms of all values of a JSON object
	disguiseAll                        // nothing is left
)

// disguises are those of the columns, by name, that may tell who or where
// somebody is, or lead to it elsewhere. A test knows every column that is not
// among them.
var disguises = map[string]disguise{
	"session_id": disguiseText, "tool_call_id": disguiseText, "call_id": disguiseText, "instance": disguiseText,
	"writer_id": disguiseText, "batch_key": disguiseText,
	"trace_id": disguiseTrace, "slowest_trace_id": disguiseTrace,
	"span_id": disguiseSpan, "parent_span_id": disguiseSpan, "slowest_span_id": disguiseSpan,
	// Hashes of what is disguised, among other things: somebody could try values out.
	"series_id": disguiseNumber, "profile_id": disguiseNumber,
	"dimensions":  disguiseValues,
	"config_json": disguiseAll, "attributes": disguiseAll, "payload": disguiseAll, "fingerprints": disguiseAll,
}

// anonymous writes rows without what identifies.
type anonymous struct {
	rowWriter
	pseudonyms *storage.Pseudonyms
	columns    []disguise
	keyed      bool  // rows are names and values, as those of meta
	values     []any // reused
}

func (a *anonymous) head(names []string) error {
	for _, name := range names {
		a.columns = append(a.columns, disguises[name])
	}
	a.keyed = slices.Equal(names, []string{"key", "value"})
	return a.rowWriter.head(names)
}

func (a *anonymous) row(values []any) (err error) {
	a.values = append(a.values[:0], values...)
	for i, how := range a.columns {
		if name, _ := values[0].(string); a.keyed && i == 1 {
			how = disguises[name]
		}
		if a.values[i], err = a.disguised(values[i], how); err != nil {
			return err
		}
	}
	return a.rowWriter.row(a.values)
}

// disguised returns what stands for a value. What says nothing stays: NULL, the
// empty text and zeros.
func (a *anonymous) disguised(value any, how disguise) (any, error) {
	const digits, spanDigits = 32, 16
	switch how {
	case disguiseText, disguiseTrace:
		return a.pseudonym(value, digits)
	case disguiseSpan:
		return a.pseudonym(value, spanDigits)
	case disguiseNumber:
		return a.number(value)
	case disguiseValues:
		return a.object(value)
	case disguiseAll:
		return nil, nil
	}
	return value, nil
}

// pseudonym stands for a text. Bytes go by their digits, and stay bytes.
func (a *anonymous) pseudonym(value any, digits int) (any, error) {
	switch v := value.(type) {
	case nil:
		return nil, nil
	case string:
		if v == "" {
			return v, nil
		}
		return a.pseudonyms.Of(v, digits), nil
	case []byte:
		if zeros(v) {
			return v, nil
		}
		return hex.DecodeString(a.pseudonyms.Of(hex.EncodeToString(v), digits))
	}
	return a.pseudonyms.Of(fmt.Sprint(value), digits), nil
}

// number stands for a number: 63 bits of its pseudonym.
func (a *anonymous) number(value any) (any, error) {
	v, ok := value.(int64)
	if !ok {
		return nil, nil
	}
	bits, err := strconv.ParseUint(a.pseudonyms.Of(strconv.FormatInt(v, 10), 16), 16, 64)
	return int64(bits >> 1), err //nolint:gosec // it has 63 bits
}

func zeros(bytes []byte) bool {
	for _, b := range bytes {
		if b != 0 {
			return false
		}
	}
	return true
}

// object disguises the values of a JSON object of texts.
func (a *anonymous) object(value any) (any, error) {
	text, ok := value.(string)
	if !ok {
		return nil, nil
	}
	var members map[string]string
	if err := json.Unmarshal([]byte(text), &members); err != nil {
		return nil, nil //nolint:nilerr // whatever it is, it must not be shown
	}
	for name, member := range members {
		if member != "" {
			members[name] = a.pseudonyms.Of(member, 32)
		}
	}
	said, err := json.Marshal(members)
	return string(said), err
}
