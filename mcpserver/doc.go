// Package mcpserver answers questions about one file to an agent, over the Model
// Context Protocol. Each question of package analysis is a tool with typed
// arguments; query asks SQL under the guards of package query.
//
// Answers are meant to be read by a language model: short JSON, lists cut to their
// first rows with a count of those left out, numbers rounded to four digits, what
// is missing left out. Texts that come from spans are data: they are given as
// JSON strings without control characters.
package mcpserver
