// Tables that can be sorted. A column is {head, text(row)} or {head,
// number(row), show, bar}; hints explain heads.

const FIRST_ROWS = 12;

// How tables are sorted, and which show all, by their labels: it stays while
// the page is redrawn.
const tableStates = new Map();

function tableOf({ label, rows, columns, first = FIRST_ROWS, total, note }) {
  const shown = neededColumns(columns, rows);
  const known = tableStates.get(label);
  const state = {
    by: shown.find((c) => c.head === known?.head) ?? null,
    down: known?.down ?? true,
    all: known?.all || rows.length <= first + 2,
  };
  const tbody = el("tbody");
  const tops = shown.map((c) => (c.bar ? Math.max(...rows.map((r) => c.number(r) ?? 0)) : 0));
  const refresh = () => {
    heads.forEach((h, i) =>
      h.setAttribute("aria-sort", state.by !== shown[i] ? "none" : state.down ? "descending" : "ascending"),
    );
    const sorted = state.by ? sortRows(rows, state.by, state.down) : rows;
    const visible = state.all ? sorted : sorted.slice(0, first);
    const cells = (r) => shown.map((c, i) => cellOf(c, r, i === 0, tops[i]));
    replace(
      tbody,
      visible.map((r) => el("tr", {}, cells(r))),
    );
    more.textContent = state.all ? `Show the first ${first}` : `Show all ${count(rows.length)}`;
  };
  const keep = () => {
    tableStates.set(label, { head: state.by?.head, down: state.down, all: state.all });
    refresh();
  };
  const heads = shown.map((c) =>
    headOf(c, () => {
      state.down = state.by === c ? !state.down : Boolean(c.number);
      state.by = c;
      keep();
    }),
  );
  const showAll = () => {
    state.all = !state.all;
    keep();
  };
  const more = el("button", { type: "button", class: "more", onclick: showAll });
  refresh();
  return el(
    "div",
    {},
    scrollingTable(label, shown.length <= 4, heads, tbody),
    rows.length > first + 2 && more,
    total > rows.length && el("p", { class: "hint" }, `The first ${count(rows.length)} of ${count(total)} are in the report.`),
    note && el("p", { class: "hint" }, note),
  );
}

// neededColumns leaves out what no row has.
function neededColumns(columns, rows) {
  const has = (c, r) => (c.number ? !isMissing(c.number(r)) : c.node || ![undefined, null, "", MISSING].includes(c.text(r)));
  return columns.filter(Boolean).filter((c, i) => i === 0 || rows.some((r) => has(c, r)));
}

function scrollingTable(label, isNarrow, heads, tbody) {
  return el(
    "div",
    { class: "scroll", role: "group", "aria-label": label, tabindex: "0" },
    el(
      "table",
      { class: "data" + (isNarrow ? " few" : "") },
      el("caption", { class: "offscreen" }, label),
      el("thead", {}, el("tr", {}, heads)),
      tbody,
    ),
  );
}

function headOf(c, onclick) {
  return el(
    "th",
    { scope: "col", class: c.number ? "number" : undefined, "aria-sort": "none" },
    el("button", { type: "button", onclick, title: c.hint }, c.head, el("span", { class: "arrow", "aria-hidden": "true" })),
  );
}

function cellOf(c, row, isFirst, top) {
  if (c.node) return el("td", {}, c.node(row));
  if (!c.number) {
    const text = c.text(row);
    const empty = text === "" || isMissing(text);
    const inside = [
      c.swatch && swatch(c.swatch(row)),
      el(
        "span",
        { class: empty ? "missing" : "cell-text" + (String(text).length > 28 ? " long" : "") },
        empty ? (c.empty ?? MISSING) : text,
      ),
    ];
    return el(isFirst ? "th" : "td", { scope: isFirst && "row", class: c.swatch && "nowrap" }, inside);
  }
  const v = c.number(row);
  const bar =
    c.bar &&
    top > 0 &&
    el(
      "span",
      { class: "bar", "aria-hidden": "true" },
      v > 0 && el("span", { style: { width: Math.max((v / top) * 100, 2) + "%", "--c": `var(--${c.bar})` } }),
    );
  return el("td", { class: "number" + (isMissing(v) ? " missing" : "") }, bar, el("span", { class: bar && "beside" }, c.show(v)));
}

// sortRows sorts by a column, what is missing last either way.
function sortRows(rows, c, down) {
  const value = c.number ?? ((r) => String(c.text(r) ?? "").toLowerCase());
  const sign = down ? -1 : 1;
  return rows
    .map((row, i) => ({ row, i, v: value(row) }))
    .sort((a, b) => {
      if (isMissing(a.v) || isMissing(b.v)) return (isMissing(a.v) ? 1 : 0) - (isMissing(b.v) ? 1 : 0) || a.i - b.i;
      return (a.v < b.v ? -1 : a.v > b.v ? 1 : 0) * sign || a.i - b.i;
    })
    .map((x) => x.row);
}

// traceIds are ids that can be copied; shown short, copied whole.
function traceIds(ids) {
  const known = ids.filter(Boolean);
  if (known.length === 0) return el("span", { class: "missing" }, MISSING);
  return el(
    "span",
    { class: "traces" },
    known.map((id) =>
      el("span", { class: "trace" }, el("code", { title: id }, shortId(id)), copyButton(id, "trace id " + shortId(id))),
    ),
  );
}

function shortId(id) {
  return id.length > 12 ? id.slice(0, 8) + "…" : id;
}

// Columns that several tables have.
const text = (head, key, more) => ({ head, text: (r) => r[key], ...more });
const number = (head, key, show, more) => ({ head, number: (r) => r[key], show, ...more });

function latencyColumns(key, prefix = "") {
  return ["p50", "p95", "p99"].map((p) => ({
    head: `${prefix}${p} ms`,
    number: (r) => r[key]?.percentiles_ms?.[p],
    show: ms,
    bar: p === "p95" && !prefix ? "bar-latency" : undefined,
  }));
}
