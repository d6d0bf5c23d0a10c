package storage

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/spanbucket/spanbucketexporter/aggregator/dedup"
)

// Pseudonyms puts other texts in the place of those that name somebody: equal
// ones for equal texts of one file, and of files with a common dedup.secret.
// Without the secret nobody can tell, or try out, what a text was.
type Pseudonyms struct{ key []byte }

// ReadPseudonyms derives the key from the secret of the file. It returns ErrOlder
// for a file of a schema without one.
func ReadPseudonyms(ctx context.Context, q Querier) (*Pseudonyms, error) {
	if err := CheckSchema(ctx, q, reliabilitySince); err != nil {
		return nil, fmt.Errorf("pseudonyms: %w", err)
	}
	var secret []byte
	if err := q.QueryRowContext(ctx, "SELECT key FROM fingerprint_key").Scan(&secret); err != nil {
		return nil, fmt.Errorf("pseudonyms: read fingerprint_key: %w", err)
	}
	if want := len(dedup.Key{}); len(secret) != want {
		return nil, fmt.Errorf("pseudonyms: fingerprint_key: %d bytes, want %d", len(secret), want)
	}
	derived := hmac.New(sha256.New, secret)
	derived.Write([]byte("spanbucket pseudonyms"))
	return &Pseudonyms{derived.Sum(nil)}, nil
}

// MaxPseudonymDigits is how long a pseudonym is at most.
const MaxPseudonymDigits = 2 * sha256.Size

// Of returns so many hexadecimal digits, at most MaxPseudonymDigits, for a text:
// HMAC-SHA256, cut off.
func (p *Pseudonyms) Of(text string, digits int) string {
	mac := hmac.New(sha256.New, p.key)
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil))[:digits]
}
