package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/spanbucket/spanbucketexporter/analysis"
)

// flagError returns what is said where flags cannot be read. A verb that does not
// exist has no flags: the verb is what is wrong then.
func flagError(args []string) func(*cobra.Command, error) error {
	return func(cmd *cobra.Command, err error) error {
		// A group that answers nothing by itself has no flags either.
		if cmd.HasSubCommands() && cmd.Flags().Lookup("db") == nil {
			_, rest, _ := cmd.Root().Find(args)
			if word := firstWord(cmd, rest); word != "" {
				return usageError{noSuchVerb(cmd, word)}
			}
			if cmd.HasParent() {
				return cmd.RunE(cmd, nil) // which says what is missing
			}
		}
		var invalid *pflag.InvalidValueError
		if errors.As(err, &invalid) {
			if rule, known := valueRules[invalid.GetFlag().Value.Type()]; known {
				cause := rule
				if errors.Is(err, strconv.ErrRange) {
					cause = "is too large"
				}
				err = fmt.Errorf("--%s %q: %s", invalid.GetFlag().Name, invalid.GetValue(), cause)
			}
		}
		return usageError{err}
	}
}

// inFlags tells what cannot be asked of a file by the flag that asks for it.
func inFlags(err error) error {
	var part *analysis.QueryError
	if errors.As(err, &part) {
		return usageError{fmt.Errorf("--%s %s: %s", part.Part, part.Value, part.Rule)}
	}
	return err
}

// valueRules say what the values of flags must be, by their type.
var valueRules = map[string]string{
	"int": "must be a whole number", "int64": "must be a whole number", "uint64": "must be a whole number of 0 or more",
	"int64Slice": "must be whole numbers, separated by commas", "float64": "must be a number",
	"duration": "must be a time with its unit, such as 500ms, 30s or 2m", "bool": "must be true or false",
	"stringSlice": "must be values separated by commas, a quoted one with both its quotes",
}

// firstWord returns what stands where a verb of cmd would; empty for nothing.
func firstWord(cmd *cobra.Command, args []string) string {
	for i := 0; i < len(args) && args[i] != "--"; i++ {
		switch {
		case !strings.HasPrefix(args[i], "-"):
			return args[i]
		case strings.HasPrefix(args[i], "--") && !strings.Contains(args[i], "=") && cmd.Flags().Lookup(args[i][2:]) == nil:
			i++ // its value
		}
	}
	return ""
}

// noSuchVerb says that a word is none of the verbs of a group, and which one may
// be meant.
func noSuchVerb(group *cobra.Command, word string) error {
	name := ""
	if group.HasParent() {
		name = group.Name() + ": "
	}
	group.SuggestionsMinimumDistance = 2
	if meant := group.SuggestionsFor(word); len(meant) > 0 {
		slices.Sort(meant)
		return fmt.Errorf("%s%q is no verb; did you mean %s?", name, word, strings.Join(meant, " or "))
	}
	return fmt.Errorf("%s%q is no verb; %s --help lists them", name, word, group.CommandPath())
}

// noArguments refuses what follows the flags.
func noArguments(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return nil
	case cmd.HasSubCommands():
		return usageError{noSuchVerb(cmd, args[0])}
	case cmd.Flags().Lookup("db") == nil || cmd.Flags().Changed("db"):
		return usageError{fmt.Errorf("%s: unexpected argument %q", cmd.Name(), args[0])}
	}
	return usageError{fmt.Errorf("%s: unexpected argument %q; the file is given with --db", cmd.Name(), args[0])}
}

func init() { cobra.EnableCommandSorting = false } // the order of verbs is chosen

// verbGroup is verbs that are listed together.
type verbGroup struct {
	id, title string
	verbs     []*cobra.Command
}

// addGroups adds the verbs under their headings.
func addGroups(root *cobra.Command, groups []verbGroup) {
	for _, g := range groups {
		root.AddGroup(&cobra.Group{ID: g.id, Title: g.title})
		for _, verb := range g.verbs {
			verb.GroupID = g.id
			root.AddCommand(verb)
		}
	}
}
