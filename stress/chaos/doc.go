// Package chaos tests how an API of OpenAI's dialect takes wrong, hostile and
// sudden requests: named cases, each with the rule by which it passes. Every
// result is a span by the conventions for tests, so that a file keeps it.
package chaos
