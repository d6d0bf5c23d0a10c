package browsertest

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// object is a JSON object.
type object = map[string]any

// begin of the fixture's traffic, Unix seconds.
const begin = 1769767200

// Fixture returns the JSON of a report with everything that a page can show:
// three runs of which two are picked, two categories, two faults, a burst, an
// open circuit. name makes every name of it that a span may choose.
func Fixture(seed uint64, name func(what string) string) ([]byte, error) {
	f := fixture{rng: rand.New(rand.NewPCG(seed, 7)), name: name}
	all := object{
		"schema_version": 1, "file_schema_version": 6, "headline_categories": []string{"llm", "embedding"},
		"from_utc": utc(0), "to_utc": utc(length), "open": object{"included": false, "width_s": 10, "buckets": 6, "requests": 1234, "settled_utc": utc(length + 60)},
		"runs": []object{
			{"run_id": name("chaos-2026-01-30"), "name": name("nightly chaos"), "first_utc": utc(0), "last_utc": utc(length), "requests": 41234, "pinned": true, "open": false, "picked": true,
				"mode": name("full"), "profile": name("sustained"), "preset": nil, "loop": "closed", "config_json": name("{}"),
				"settings": []object{{"name": "mode", "value": name("full")}, {"name": name("region"), "value": name("eu-west")}}, "remarks": []string{"The load was a closed loop: users waited."}},
			{"run_id": name("load-7"), "name": nil, "first_utc": utc(60), "last_utc": utc(900), "requests": 20111, "pinned": false, "open": false, "picked": true, "settings": []object{}, "remarks": []string{}},
		},
		"runs_total": 2, "categories": []object{{"category": "llm", "headline": true, "requests_total": 50000, "picked": true}, {"category": "embedding", "headline": true, "requests_total": 11345, "picked": true}},
		"fault_windows": f.windows(), "fault_windows_total": 2, "faults": f.joined(), "faults_total": 2,
		"ledger": []object{{"reason": "received", "spans": 81234}, {"reason": "folded", "spans": 81200}, {"reason": "duplicate", "spans": 34}},
		"notes":  []object{{"reason": "late", "spans": 12}}, "pruned": []object{}, "left_out": []string{},
	}
	var picks []object
	for _, run := range []any{nil, name("chaos-2026-01-30"), name("load-7")} {
		for _, category := range []string{"", "llm", "embedding"} {
			picks = append(picks, f.pick(run, category))
		}
	}
	all["picks"] = picks
	return json.Marshal(all)
}

const length = 1500 // seconds

func utc(second int) string {
	return time.Unix(begin+int64(second), 0).UTC().Format("2006-01-02T15:04:05Z")
}

func ns(second int) int64 { return (begin + int64(second)) * 1e9 }

type fixture struct {
	rng  *rand.Rand
	name func(string) string
}

func (f fixture) windows() []object {
	window := func(id, fault string, target any, from, to, requests int) object {
		return object{
			"window_id": id, "run_id": f.name("chaos-2026-01-30"), "fault": f.name(fault), "target": target, "start_utc": utc(from), "end_utc": utc(to),
			"start_ns": ns(from), "end_ns": ns(to), "source": "injector", "experiment_id": nil, "requests": requests,
		}
	}
	return []object{window("a", "latency", f.name("openai"), 480, 660, 4211), window("b", "http_429", nil, 960, 1050, 1830)}
}

// joined are the faults that the windows tell of.
func (f fixture) joined() (rows []object) {
	for i, w := range f.windows() {
		rows = append(rows, object{
			"run_id": w["run_id"], "fault": w["fault"], "target": w["target"], "experiment_ids": []string{}, "kinds": []string{}, "kind_rows": []object{},
			"sources": []string{"injector"}, "window_ids": []string{"a"}, "start_utc": w["start_utc"], "end_utc": w["end_utc"], "start_ns": w["start_ns"], "end_ns": w["end_ns"],
			"duration_s": 180 - 90*i, "background": false, "requests_marked": w["requests"], "spans_marked": w["requests"], "marked_categories": []string{"llm"},
		})
	}
	return rows
}

// scale is the share of the traffic that a pick has.
func scale(run any, category string) float64 {
	v := 1.0
	if run != nil {
		v = 0.62
	}
	return v * map[string]float64{"": 1, "llm": 0.8, "embedding": 0.2}[category]
}

func (f fixture) pick(run any, category string) object {
	k := scale(run, category)
	charts := []object{f.chart(k, 10), f.chart(k, 60), f.chart(k, 300)}
	sums := charts[0]["outcomes"].(object)
	var total, failed, injected int
	for outcome, column := range sums {
		for _, n := range column.([]int) {
			total += n
			if outcome != "success" {
				failed += n
			}
		}
	}
	for _, n := range charts[0]["injected"].([]int) {
		injected += n
	}
	categories := []string{"llm", "embedding"}
	if category != "" {
		categories = []string{category}
	}
	p := object{
		"run_id": run, "category": category, "categories": categories, "from_utc": utc(0), "to_utc": utc(length), "charts": charts,
		"totals": f.totals(total, failed, injected), "tables": f.tables(total),
	}
	f.answers(p, total, failed)
	return p
}

func (f fixture) chart(k float64, width int) object {
	n := length / width
	c := object{"width_s": width, "start": begin, "buckets": n, "partial_first": false, "partial_last": width == 300}
	outcomes := map[string][]int{}
	columns := map[string][]any{}
	injected := make([]int, n)
	names := []string{"success", "rate_limited", "server_error", "connection_error", "circuit_open"}
	for _, o := range names {
		outcomes[o] = make([]int, n)
	}
	var cells [][3]int
	edges := bands()
	for i := range n {
		at := (float64(i) + 0.5) * float64(width)
		load := k * float64(width) * (34 + 9*math.Sin(at/190) + 4*math.Sin(at/37) + 3*f.rng.NormFloat64())
		slow, limited := at >= 480 && at < 660, at >= 960 && at < 1050
		silent := at >= 1230 && at < 1260
		if silent {
			load = 0
		}
		bad := func(share float64) int { return int(math.Max(0, load*share*(0.7+0.6*f.rng.Float64()))) }
		outcomes["rate_limited"][i] = bad(map[bool]float64{true: 0.34, false: 0.004}[limited])
		outcomes["server_error"][i] = bad(map[bool]float64{true: 0.08, false: 0.006}[slow])
		outcomes["connection_error"][i] = bad(map[bool]float64{true: 0.03, false: 0.002}[slow])
		if slow && at > 540 {
			outcomes["circuit_open"][i] = bad(0.12)
		}
		rest := int(load)
		for _, o := range names[1:] {
			rest -= outcomes[o][i]
		}
		outcomes["success"][i] = max(rest, 0)
		if slow || limited {
			injected[i] = bad(0.4)
		}
		median := 640.0 + 60*math.Sin(at/120) + 25*f.rng.NormFloat64()
		if slow {
			median *= 2.6
		}
		figures := object{
			"p50_ms": median, "p95_ms": median * (2.1 + 0.2*f.rng.Float64()), "p99_ms": median * (3.2 + 0.7*f.rng.Float64()), "avg_ms": median * 1.16,
			"max_ms": median * (4.2 + 2*f.rng.Float64()), "ttft_p50_ms": median * 0.28, "ttft_p95_ms": median * 0.5, "ttft_p99_ms": median * 0.9,
			"input_tokens": int(load * 812), "output_tokens": int(load * 214), "cost_usd": load * 0.0042,
		}
		for key, v := range figures {
			if silent {
				v = nil
			}
			columns[key] = append(columns[key], v)
		}
		cells = append(cells, f.heat(i, int(load), median, edges)...)
	}
	columnsOf := object{}
	for _, o := range names {
		columnsOf[o] = outcomes[o]
	}
	c["outcomes"], c["injected"], c["heat"] = columnsOf, injected, object{"bands_ms": edges, "cells": cells}
	for key, column := range columns {
		c[key] = column
	}
	return c
}

func bands() []float64 {
	var edges []float64
	for v := 60.0; v < 16000; v *= math.Pow(2, 0.25) {
		edges = append(edges, math.Round(v*1000)/1000)
	}
	return edges
}

// heat counts as many latencies: most lognormal around the median, some cached.
func (f fixture) heat(bucket, requests int, median float64, edges []float64) (cells [][3]int) {
	counts := make([]int, len(edges)-1)
	for range min(requests, 4000) {
		v := median * math.Exp(0.42*f.rng.NormFloat64())
		if f.rng.Float64() < 0.22 {
			v = 105 * math.Exp(0.22*f.rng.NormFloat64())
		}
		band := int(4 * math.Log2(v/edges[0]))
		if band >= 0 && band < len(counts) {
			counts[band]++
		}
	}
	for band, n := range counts {
		if n > 0 {
			cells = append(cells, [3]int{bucket, band, n})
		}
	}
	return cells
}

func distribution(n int, median float64) object {
	if n == 0 {
		return object{"count": 0, "sum_ns": nil, "avg_ms": nil, "min_ms": nil, "max_ms": nil, "percentiles_ms": object{}}
	}
	return object{
		"count": n, "sum_ns": int64(median*1.16e6) * int64(n), "avg_ms": median * 1.16, "min_ms": median / 11, "max_ms": median * 12.3,
		"percentiles_ms": object{"p50": median, "p90": median * 1.8, "p95": median * 2.2, "p99": median * 3.4},
	}
}

func usage(o object, n int) object {
	o["usage_count"], o["input_tokens"], o["output_tokens"], o["priced_count"], o["cost_usd"] = n, n*812, n*214, n*9/10, float64(n)*0.0042
	o["cache_read_tokens"], o["cache_write_tokens"], o["reasoning_tokens"] = n*40, 0, n*11
	return o
}

func (f fixture) totals(total, failed, injected int) object {
	return usage(object{
		"category": "llm+embedding", "requests_total": total, "errors": failed, "error_rate": float64(failed) / float64(total),
		"seconds": 1800, "requests_per_s": float64(total) / 1800, "requests_injected": injected, "adjusted_requests": float64(total), "latency": distribution(total, 712.3), "ttft": distribution(total*7/10, 188.2),
	}, total*9/10)
}

func (f fixture) tables(total int) (tables []object) {
	for _, t := range []struct {
		by     string
		values []string
	}{
		{"model", []string{"gpt-4o-mini", "claude-sonnet-4", "gpt-4o", "mistral-large", "text-embedding-3-small", ""}},
		{"provider", []string{"openai", "anthropic", "mistral_ai"}},
		{"operation", []string{"chat", "embeddings", "text_completion"}},
		{"agent", []string{"planner", "coder", "reviewer"}},
		{"service", []string{"gateway", "assistant", "search", "billing", "router", "ingest", "crm", "mail", "notes", "ops", "shop", "hr", "docs", "lab", "edge", "proxy"}},
	} {
		var rows []object
		rest := total
		for i, v := range t.values {
			n := rest / 2
			if i == len(t.values)-1 {
				n = rest
			}
			rest -= n
			if v != "" {
				v = f.name(v)
			}
			rows = append(rows, usage(object{
				"values": []string{v}, "requests": n, "errors": n / (30 + 7*i), "error_rate": 1 / float64(30+7*i), "requests_injected": n / 20 * (i % 2),
				"latency": distribution(n, 420+130*float64(i)), "net_latency": distribution(n, 400+130*float64(i)), "ttft": distribution(n*(1-i%2), 120+40*float64(i)),
				"time_per_output_token": distribution(0, 0),
			}, n))
		}
		tables = append(tables, object{"by": t.by, "rows": rows, "other": nil, "other_groups": 0})
	}
	return tables
}

func trace(i int) string {
	return fmt.Sprintf("%016x%016x", 0x9e3779b97f4a7c15*uint64(i+1), 0xbf58476d1ce4e5b9*uint64(i+3))
}
