// The foot: what the numbers mean, what was left out, what the file says of
// itself.

function notes() {
  const m = page.model,
    p = page.pick;
  const open = p?.open ?? m.open;
  const sampled = p?.totals && Math.abs((p.totals.adjusted_requests ?? 0) - p.totals.requests_total) > 0.5;
  const lines = [
    "Times are UTC. A request belongs to the bucket [start, start + width) in which it started.",
    "Counts, sums, averages, minima and maxima are exact. A percentile is the nearest rank within 0.79 % of it, never below the minimum or above the maximum; percentiles are made from histograms, never from other percentiles.",
    "A failed request is one of any outcome but success. “Injected” are requests that say that a fault was injected into them.",
    "A dash means that nothing is known; it is never a zero. Tokens and cost are those of the requests that tell.",
    open?.included
      ? "Buckets that have not settled are in: they may still lack slow requests."
      : open?.buckets > 0
        ? `Only settled buckets: the last ${plural(open.buckets, "bucket")} of ${widthName(open.width_s)} with ${plural(open.requests, "request")} are left out${open.settled_utc ? ` until ${instant(open.settled_utc)} UTC` : ""}, since they may lack slow requests.`
        : "All buckets had settled.",
    sampled &&
      `The spans say that they were sampled: ${count(p.totals.requests_total)} spans stand for ${count(Math.round(p.totals.adjusted_requests))} requests. Counts here are those of spans.`,
    ...list(m.left_out),
    ...list(m.pruned).map(
      (x) =>
        `${count(x.rows)} rows of ${x.relation === "buckets" ? `buckets of ${widthName(x.width_s)}` : words(x.relation)} have left the file by age, number or size; it is complete from ${instant(x.complete_from_utc)} UTC on.`,
    ),
  ].filter(Boolean);
  const counts = (rows) =>
    el(
      "ul",
      { class: "counts" },
      list(rows).map((r) =>
        el("li", {}, el("span", { class: "cell-text" }, words(r.reason)), " ", el("strong", {}, count(r.spans))),
      ),
    );
  return el(
    "section",
    { class: "card notes", id: "notes", "aria-labelledby": "notes-title" },
    el("h2", { id: "notes-title" }, "What the numbers mean"),
    el(
      "ul",
      {},
      lines.map((text) => el("li", {}, text)),
    ),
    list(m.ledger).length > 0 && [el("h3", {}, "What became of every span of the file"), counts(m.ledger)],
    list(m.notes).length > 0 && [el("h3", {}, "What was remarkable about spans"), counts(m.notes)],
  );
}
