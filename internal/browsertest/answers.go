package browsertest

// answers adds to a pick what is said of it besides charts and latency.
func (f fixture) answers(p object, total, failed int) {
	status, text := "WARNING", "2,131 of 50,412 requests failed (4.2 %). Two faults were injected: during latency on openai p95 rose from 1,420 to 3,610 ms and was back 20 s after it ended; "+
		"during http_429 a third of the requests was rate limited. Without the faults 0.9 % failed."
	if p["category"] == "embedding" {
		status, text = "OK", "10,088 requests, 0.6 % failed, p95 1,380 ms: nothing remarkable."
	}
	if p["run_id"] == nil {
		status = "CRITICAL"
	}
	p["diagnosis"] = object{"status": status, "text": text, "reasons": []string{"A burst of refused requests is still active."}, "patterns": []string{"burst_periods(2)", "timeout_cluster(41)"}}
	p["errors"], p["error_types_total"] = f.errors(total, failed), 4
	p["fault_impact"] = object{"windows": f.windows(), "rows": f.faults(), "unmet": []object{}, "faults_left_out": 0, "unmet_left_out": 0}
	p["circuits"], p["circuits_total"] = f.circuits(), 1
	p["bursts"], p["anomalies"], p["slos"], p["usage"] = f.bursts(), f.anomalies(), f.objectives(total, failed), f.usage(total)
	p["slow"] = f.slow()
	p["tools"], p["tools_total"] = f.tools(), 4
	p["sessions"] = f.sessions()
	p["chaos_results"] = object{"passed": 1, "failed": 1, "rows": []object{
		{"run_id": f.name("chaos-2026-01-30"), "name": f.name("recovers within 30 s"), "passed": true, "expected": "≤ 30 s", "actual": "20 s", "duration_ms": 21034.2, "error": nil},
		{"run_id": f.name("chaos-2026-01-30"), "name": f.name("no failure without a fault"), "passed": false, "expected": "0", "actual": "412", "duration_ms": 1500321.0, "error": f.name("assertion failed")},
	}}
}

func (f fixture) errors(total, failed int) object {
	row := func(name string, n, i int) object {
		return object{
			"name": name, "errors": n, "share_of_errors": float64(n) / float64(failed), "share_of_requests": float64(n) / float64(total), "errors_injected": n / 2,
			"first_seen_utc": utc(10 * i), "last_seen_utc": utc(1400 - 50*i), "seen_within_s": 10,
			"samples": []object{{"trace_id": trace(i), "span_id": "00f067aa0ba902b7", "source": "request"}, {"trace_id": trace(i + 9), "span_id": "00f067aa0ba902b8", "source": "request"}},
		}
	}
	return object{
		"requests": total, "errors": failed, "error_rate": float64(failed) / float64(total), "errors_injected": failed / 2,
		"by_outcome": []object{row("rate_limited", failed/2, 1), row("server_error", failed/4, 2), row("circuit_open", failed/8, 3), row("connection_error", failed/8, 4)},
		"by_type":    []object{row(f.name("RateLimitError"), failed/2, 5), row(f.name("503"), failed/4, 6), row("", failed/8, 7), row(f.name("ConnectTimeout"), failed/8, 8)},
		"status_codes": object{"complete": false, "estimable": true, "rows": 800, "estimated": float64(failed), "codes": []object{
			{"status_code": 429, "rows": 400, "requests": float64(failed) / 2, "share_of_errors": 0.5}, {"status_code": nil, "rows": 400, "requests": float64(failed) / 2, "share_of_errors": 0.5}}},
	}
}

func (f fixture) faults() (rows []object) {
	phase := func(n int, share, median float64) object {
		measure := func(k float64) object {
			return object{"count": n, "avg_ms": median * k * 1.1, "p50_ms": median * k, "p95_ms": median * k * 2.2, "p99_ms": median * k * 3.4}
		}
		return object{
			"covered_s": 180, "estimated": false, "requests": n, "errors": float64(n) * share, "requests_injected": 0, "requests_per_s": float64(n) / 180, "success_share": 1 - share,
			"error_rate": share, "latency": measure(1), "net_latency": measure(0.8), "ttft": measure(0.3), "input_tokens": n * 812, "output_tokens": n * 214, "cost_usd": float64(n) * 0.004,
		}
	}
	for i, row := range f.joined() {
		row["open_end"], row["straddling"], row["straddling_estimated"], row["edge_share"] = false, 41, false, 0.04
		row["before"], row["during"], row["after"] = phase(6120, 0.009, 640), phase(5230, 0.212, 1690), phase(6044, 0.011, 655)
		row["during_against_before"] = object{"error_rate_difference": 0.203, "requests_per_s_ratio": 0.85, "p50_latency_ratio": 2.64, "p95_latency_ratio": 2.64, "p99_latency_ratio": 2.64, "p95_net_latency_ratio": 2.1, "p95_ttft_ratio": 2.6}
		row["after_against_before"] = object{"p95_latency_ratio": 1.02}
		row["recovery"], row["recovery_s"], row["watched_s"], row["watch_ends"] = "recovered", 20.0, 300, "fault"
		if i == 1 {
			row["recovery"], row["recovery_s"], row["watch_ends"] = "not_recovered", nil, "data"
		}
		rows = append(rows, row)
	}
	return rows
}

func (f fixture) circuits() object {
	state := func(at int, from, to string) object {
		return object{"run_id": f.name("chaos-2026-01-30"), "service": f.name("gateway"), "instance": "", "circuit": f.name("openai"), "at_utc": utc(at), "at_ns": ns(at), "from_state": from, "to_state": to}
	}
	return object{
		"trips": 2, "rejected": 812, "still_open": 0, "transitions_left_out": 0,
		"rows": []object{{"run_id": f.name("chaos-2026-01-30"), "service": f.name("gateway"), "instance": "", "circuit": f.name("openai"), "trips": 2, "reopened": 3, "probes": 5, "closed": 2,
			"open_s": 141.5, "recovery_s": 70.7, "max_recovery_s": 122.0, "rejected": 812, "state": "closed", "still_open": false, "since_utc": utc(690), "since_ns": ns(690)}},
		"transitions": []object{state(530, "closed", "open"), state(652, "open", "half_open"), state(660, "half_open", "closed"), state(980, "closed", "open"), state(1000, "half_open", "closed")},
	}
}

func (f fixture) slow() object {
	var rows []object
	outcomes := []string{"success", "server_error", "success", "connection_error"}
	for i := range 20 {
		rows = append(rows, object{
			"trace_id": trace(i), "span_id": "00f067aa0ba902b7", "run_id": f.name("chaos-2026-01-30"), "category": "llm", "start_utc": utc(490 + 7*i), "start_ns": ns(490 + 7*i),
			"latency_ms": 9211.4 - 210*float64(i), "request": object{
				"service": f.name("gateway"), "operation": "chat", "model": f.name("gpt-4o"), "outcome": outcomes[i%4], "error_type": map[bool]string{true: f.name("503"), false: ""}[i%4 == 1],
				"fault": f.name("latency"), "ttft_ms": 2000.5, "injected_delay_ms": 1500.0, "output_tokens": 400 + i,
			},
		})
	}
	return object{"source": "requests", "kept": object{"complete": true, "estimable": true}, "rows": rows}
}

func (f fixture) tools() object {
	var rows []object
	for i, tool := range []string{"search_web", "read_file", "run_tests", "send_mail"} {
		rows = append(rows, object{
			"tool": f.name(tool), "calls": 900 - 200*i, "errors": 9 * i, "error_rate": float64(9*i) / float64(900-200*i), "share": float64(900-200*i) / 2400, "latency_count": 900,
			"avg_latency_ms": 80.5 + 30*float64(i), "p50_latency_ms": 70.0, "p95_latency_ms": 210.0 + 90*float64(i), "p99_latency_ms": 412.0, "wait_ms_avg": nil, "acceptance_rate": 0.9,
		})
	}
	return object{"rows": rows, "total": object{"calls": 2400, "error_rate": 0.0225}}
}

func (f fixture) sessions() object {
	var rows []object
	for i := range 30 {
		rows = append(rows, object{
			"run_id": f.name("load-7"), "service": f.name("assistant"), "session_id": f.name("session-") + trace(i)[:6], "first_utc": utc(20 * i), "last_utc": utc(20*i + 300), "duration_s": 300.5 - float64(i),
			"requests": 40 - i, "errors": i % 3, "tool_calls": 12, "tool_errors": 0, "tools_per_minute": 2.4, "prompts": 5, "think_time_s": 12.5, "response_time_s": 3.25,
			"acceptance_rate": nil, "output_tokens": 8000, "cost_usd": 0.0312,
		})
	}
	return object{"rows": rows, "total": object{"sessions": 112, "requests": 2100, "tool_calls": 1300}}
}

func (f fixture) bursts() object {
	phase := func(perS float64) object { return object{"success_per_s": perS} }
	burst := func(from, to int, active bool) object {
		b := object{
			"start": begin + from, "start_utc": utc(from), "end": begin + to, "end_utc": utc(to), "duration_s": to - from, "still_active": active, "recovery_s": 10,
			"requests_total": 4100, "requests_rate_limited": 1300, "requests_capacity_error": 80, "refused_share": 0.336, "peak_refused_share": 0.41, "resends": 12,
			"faults": []string{f.name("http_429")}, "before": phase(33.1), "during": phase(21.4), "after": phase(32.8),
		}
		if active {
			b["recovery_s"], b["after"], b["faults"] = nil, nil, []string{}
		}
		return b
	}
	return object{
		"width_s": 1, "start_share": 0.3, "end_share": 0.1, "min_refused": 3, "bursts": 2, "still_active": 1, "rows": []object{burst(960, 1060, false), burst(1470, 1500, true)},
		"aimd": object{
			"normal_success_per_s": 33.2, "burst_success_per_s": 21.5, "degradation_share": 0.352, "refused_share": 0.031, "backoff_ratio": 0.028, "backoff": "EFFECTIVE", "resends": 12,
			"recovered": 1, "avg_recovery_s": 10, "max_recovery_s": 10, "trend": "",
		},
	}
}

func (f fixture) anomalies() object {
	anomaly := func(kind, severity, text string, from, to int, faults ...string) object {
		return object{
			"kind": kind, "severity": severity, "expected": len(faults) > 0, "faults": append([]string{}, faults...), "start": begin + from, "start_utc": utc(from), "end": begin + to,
			"end_utc": utc(to), "duration_s": to - from, "still_active": false, "figure": 6212.0, "reference": 1511.0, "unit": "ms", "text": text,
		}
	}
	return object{"width_s": 1, "rate_width_s": 10, "unexpected": 2, "expected": 1, "rows": []object{
		anomaly("latency_spike", "medium", "p95 was 6,212 ms, 4.1 times the median of the time around it.", 560, 570, f.name("latency")),
		anomaly("silence", "high", "No requests for 30 s, with 34.2 per second before.", 1230, 1260),
		anomaly("unexpected_error", "low", "3 requests failed with "+f.name("SSLError")+" outside of any known fault.", 1320, 1330),
	}}
}

func (f fixture) objectives(total, failed int) object {
	burn := func(window string, rate any) object {
		return object{"window": window, "window_s": 3600, "from_utc": utc(0), "good": total - failed, "total": total, "burn_rate": rate, "covered": 0.4, "threshold": 14.4, "alert": false}
	}
	return object{"burn_end_utc": utc(length), "objectives": []object{
		{
			"name": f.name("chat under 2 s"), "category": "llm", "service": nil, "operation": "chat", "model": nil, "latency_ms": 2000, "objective": 0.99, "configured": true, "counted_from_utc": nil,
			"good": total - failed, "total": total, "good_share": 1 - float64(failed)/float64(total), "met": false, "error_budget_spent": 4.68,
			"burn_rates": []object{burn("1h", 4.7), burn("6h", 4.7), burn("3d", nil), burn("30d", nil)}, "alert": nil,
		},
		{
			"name": f.name("embeddings answer"), "category": "embedding", "service": nil, "operation": nil, "model": nil, "latency_ms": nil, "objective": 0.9, "configured": true, "counted_from_utc": nil,
			"good": 9000, "total": 9100, "good_share": 0.989, "met": true, "error_budget_spent": 0.11, "burn_rates": []object{burn("1h", 0.11)}, "alert": nil,
		},
	}}
}

func (f fixture) usage(total int) object {
	row := func(model string, n int, price float64) object {
		return usage(object{
			"values": []string{model}, "requests": n, "unpriced_count": n / 50, "output_tokens_per_s": float64(n) * 0.14, "avg_time_per_output_token_ms": 21.4, "cost_per_1000_requests_usd": price * 1000,
		}, n)
	}
	return object{
		"by": []string{"model"}, "rows": []object{row(f.name("gpt-4o"), total/4, 0.011), row(f.name("claude-sonnet-4"), total/3, 0.009), row(f.name("gpt-4o-mini"), total/3, 0.0004)},
		"total": row("", total, 0.004),
	}
}
