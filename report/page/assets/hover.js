// What is said of the bucket under the pointer, as elements.

// hoverBox is what is said of the bucket under the pointer.
function hoverBox(spec, params) {
  const data = page.chart;
  const first = Array.isArray(params) ? params[0] : params;
  if (!first) return "";
  const box = spec.hoverItem ? spec.hoverItem(data, first) : bucketBox(spec, data, bucketAt(data, first.axisValue));
  return box ?? "";
}

function bucketBox(spec, data, i) {
  const rows = spec.hover(data, i).filter(Boolean);
  return floating(bucketLines(data, i), rows);
}

// bucketLines say which bucket it is.
function bucketLines(data, i) {
  const start = data.start + i * data.width_s;
  const from = start * 1000,
    to = from + data.width_s * 1000;
  const faults = [
    ...new Set(
      knownFaults()
        .filter((w) => w.from < to && w.to >= from)
        .map((w) => w.fault),
    ),
  ];
  return [
    interval(start, start + data.width_s),
    `${seconds(start - data.start)} after the start of the chart`,
    isPartial(data, i) && "partial bucket: the data begins or ends inside it",
    faults.length > 0 && "fault: " + shorten(faults.join(", "), 80),
  ].filter(Boolean);
}

function floating(lines, rows) {
  return el(
    "div",
    { class: "floating" },
    el(
      "div",
      { class: "floating-head" },
      lines.map((text, i) => el("div", i === 0 ? { class: "floating-title" } : {}, text)),
    ),
    el(
      "table",
      {},
      rows.map(([name, value, ink]) =>
        el(
          "tr",
          {},
          el("td", {}, ink ? swatch(ink) : el("span", { class: "swatch none" }), shorten(name, 60)),
          el("td", { class: "number" }, value),
        ),
      ),
    ),
  );
}

function shorten(text, most) {
  const letters = [...String(text)];
  return letters.length > most ? letters.slice(0, most - 1).join("") + "…" : letters.join("");
}
