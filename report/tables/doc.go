// Package tables shows answers as text: tables whose columns stand under each
// other in a terminal, and the cells in them. What comes from spans is made safe
// to print; see [Clean].
package tables
