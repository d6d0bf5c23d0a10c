package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// at is an instant of the day that the tests play on.
func at(clock string) int64 {
	t, err := time.Parse(time.RFC3339Nano, "2026-01-30T"+clock+"Z")
	if err != nil {
		panic(err)
	}
	return t.UnixNano()
}

func TestWindowsAreReadAsWritten(t *testing.T) {
	full := aggregator.FaultWindow{
		Run: "load-1", Fault: "latency", Target: "tool: web, search", ExperimentID: "exp-7",
		StartUnixNano: at("10:01:00"), EndUnixNano: at("10:02:00"),
	}
	short := aggregator.FaultWindow{Fault: "kill", StartUnixNano: at("10:01:00.000000001"), EndUnixNano: at("10:01:00.000000001")}
	for _, c := range []struct {
		name, format, text string
		want               []aggregator.FaultWindow
	}{
		{"CSV", "csv", "fault,start,end,target,run_id,experiment_id\n" +
			"latency,2026-01-30T10:01:00Z,2026-01-30T10:02:00Z,\"tool: web, search\",load-1,exp-7\n", []aggregator.FaultWindow{full}},
		{"CSV of a spreadsheet, in another order, padded", "csv", "end, run_id, start,  target, experiment_id, fault\r\n" +
			"@1769767320, load-1 ,2026-01-30T11:01:00+01:00, \"tool: web, search\",exp-7 ,latency\r\n\r\n", []aggregator.FaultWindow{full}},
		{"CSV with nanoseconds", "csv", "fault,start_ns,end_ns\nkill,1769767260000000001,1769767260000000001\n", []aggregator.FaultWindow{short}},
		{"CSV with both columns, one filled", "csv", "fault,start,end,start_ns,end_ns\n" +
			"kill,,2026-01-30T10:01:00.000000001Z,1769767260000000001,\n", []aggregator.FaultWindow{short}},
		{"JSON array", "json", `[{"fault": "latency", "start": "2026-01-30T10:01:00Z", "end": "@1769767320", "target": "tool: web, search",
			"run_id": "load-1", "experiment_id": "exp-7"}, {"fault": "kill", "start_ns": 1769767260000000001, "end_ns": "1769767260000000001",
			"target": null, "run_id": ""}]` + "\n", []aggregator.FaultWindow{full, short}},
		{"JSON lines", "json", `{"fault": "kill", "start_ns": 1769767260000000001, "end_ns": 1769767260000000001}` + "\n\n" +
			`{"fault": "kill", "start_ns": 1769767260000000001, "end_ns": 1769767260000000001}`, []aggregator.FaultWindow{short, short}},
		{"nothing as CSV", "csv", "", nil},
		{"a header alone", "csv", "fault,start,end\n", nil},
		{"nothing as JSON", "json", " \n", nil},
		{"an empty array", "json", "[]", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, problems := parseWindows([]byte(c.text), c.format)
			if len(problems) > 0 || !slices.Equal(got, c.want) {
				t.Errorf("windows %+v, problems %v, want %+v", got, problems, c.want)
			}
		})
	}
}

func TestFaultsOfWindowsAreNamed(t *testing.T) {
	const header = "fault,start,end\n"
	const noTime = ": must be like 2026-01-30T10:00:00Z or @1769767200, in the years 1970 to 2261"
	for _, c := range []struct{ name, format, text, want string }{
		{"unknown column", "csv", "fault,start,end,severity\nx\n",
			`1: "severity": is no column; must be one of fault, start, end, start_ns, end_ns, target, run_id, experiment_id`},
		{"column twice", "csv", "fault,start,end,fault\n", `1: "fault": stands there twice`},
		{"missing columns", "csv", "target,end_ns\n", "1: fault: none: must be among the names in the first line\n" +
			"1: start: none: must be among the names in the first line"},
		{"rows, each for its reason", "csv", header + "a,yesterday,@1\nb,@1769767200\n,@5,@4\n\n\"c\nd\",,+4s\n",
			`2: start: "yesterday"` + noTime + "\n" + `3: 2 values: must be 3, one for each name in line 1` + "\n" +
				`4: fault: "": must name the fault` + "\n" + "4: end: 1970-01-01T00:00:04Z: must not be before the start, 1970-01-01T00:00:05Z\n" +
				"6: start: none: must be given, either so or as start_ns\n" + `7: end: "+4s"` + noTime},
		{"times out of range", "csv", header + "a,1969-12-31T23:59:59.5Z,9999-01-01T00:00:00Z\nb,@0,@99999999999\nc,@1.5,2026-01-30\n",
			`2: start: "1969-12-31T23:59:59.5Z"` + noTime + "\n" + `2: end: "9999-01-01T00:00:00Z"` + noTime + "\n" +
				`3: start: "@0"` + noTime + "\n" + `3: end: "@99999999999"` + noTime + "\n" +
				`4: start: "@1.5"` + noTime + "\n" + `4: end: "2026-01-30"` + noTime},
		{"seconds for nanoseconds", "csv", "fault,start_ns,end_ns\na,1769767200,17697672000000000000\n",
			`2: start_ns: "1769767200": must be Unix nanoseconds, a number of 19 digits` + "\n" +
				`2: end_ns: "17697672000000000000": must be Unix nanoseconds, a number of 19 digits`},
		{"both times", "csv", "fault,start,start_ns,end\na,@1,1769767200000000000,@2\n", "2: start: both: must be given, either so or as start_ns"},
		{"text that would not be stored as it is", "csv", header + "a\x00b,@1,@2\n", `2: fault: "a\x00b": must be without NUL and at most 256 bytes`},
		{"another encoding", "csv", header + "caf\xe9,@1,@2\n", `2: "caf\xe9,@1,@2": must be UTF-8`},
		{"a quote in the middle", "csv", header + "a\"b,@1,@2\nx\n", `2: column 2: bare " in non-quoted-field; nothing is read after it`},
		{"a quote without end", "csv", header + "x,y,z\n\"b,@1,@2\n",
			`2: start: "y"` + noTime + "\n" + `2: end: "z"` + noTime + "\n" + `3: column 10: extraneous or missing " in quoted-field; nothing is read after it`},
		{"objects, each for its reason", "json", "[\n{\"fault\": 5, \"start\": 1769767200,\n\"end\": true},\n{\"fault\": \"x\", \"colour\": \"red\",\n\"colour\": 1, \"end\": \"@1\"}]",
			"2: fault: 5: must be a text in quotes\n" + `2: start: "1769767200"` + noTime + "\n" + `3: end: "true"` + noTime + "\n" +
				`4: "colour": is no column; must be one of fault, start, end, start_ns, end_ns, target, run_id, experiment_id` + "\n" +
				"4: start: none: must be given, either so or as start_ns\n" +
				`5: "colour": is no column; must be one of fault, start, end, start_ns, end_ns, target, run_id, experiment_id` + "\n" +
				`5: "colour": stands there twice`},
		{"another document", "json", "{\"windows\": []}\n", `1: "windows": is no column; must be one of fault, start, end, start_ns, end_ns, target, run_id, experiment_id` + "\n" +
			`1: fault: "": must name the fault` + "\n1: start: none: must be given, either so or as start_ns\n1: end: none: must be given, either so or as end_ns"},
		{"no object", "json", "[\n5]", "2: 5: must be an array of objects, or one object per line; nothing is read after it"},
		{"a long text", "json", `"` + strings.Repeat("é", 5000) + `"`, "1: " + strings.Repeat("é", 40) + ": must be an array of objects, or one object per line; nothing is read after it"},
		{"an array in an array", "json", "[[]]", "1: [: must be an array of objects, or one object per line; nothing is read after it"},
		{"JSON that breaks off", "json", "[\n", "1: unexpected EOF; nothing is read after it"},
		{"JSON that goes on", "json", "[]\n]", "2: the file must end with the array; nothing is read after it"},
		{"no JSON", "json", "fault,start\n", "1: invalid character 'u' in literal false (expecting 'l'); nothing is read after it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, problems := parseWindows([]byte(c.text), c.format)
			var lines []string
			for _, f := range problems {
				lines = append(lines, f.String())
			}
			if got := strings.Join(lines, "\n"); got != c.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, c.want)
			}
		})
	}
}
