package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

var shareForm = regexp.MustCompile(`^[0-9]{1,9}(\.[0-9]{1,9})?%?$`)

// parseShare reads a share such as 0.1 or 10%. A number above 1 without the sign
// is refused: it is hardly a share.
func parseShare(text string) (float64, error) {
	if !shareForm.MatchString(text) {
		return 0, fmt.Errorf("%q: must be like 10%% or 0.1", text)
	}
	digits, percent := strings.CutSuffix(text, "%")
	share, err := strconv.ParseFloat(digits, 64)
	if err != nil {
		return 0, fmt.Errorf("%q: must be like 10%% or 0.1", text)
	}
	if percent {
		return share / 100, nil
	}
	if share > 1 {
		return 0, fmt.Errorf("%q: is above 1; write %s%% for percent", text, text)
	}
	return share, nil
}
