// The bar with what can be chosen: run, category, width, zoom.

function select(id, label, choices, current, onpick) {
  // Values are positions: a run may be called anything, and null is one too.
  const control = el(
    "select",
    { id, onchange: () => onpick(choices[Number(control.value)][0]) },
    choices.map(([value, text], i) => el("option", { value: i, selected: value === current }, shorten(text, 80))),
  );
  return el("label", { class: "picker" }, el("span", {}, label), control);
}

function widthPicker(onpick) {
  const charts = list(page.pick?.charts);
  if (charts.length === 0) return null;
  return el(
    "fieldset",
    { class: "widths" },
    el("legend", {}, "Buckets of"),
    charts.map((c) =>
      el(
        "label",
        {},
        el("input", {
          type: "radio",
          name: "width",
          value: c.width_s,
          checked: c === page.chart,
          onchange: () => onpick(c.width_s),
        }),
        el("span", {}, widthName(c.width_s)),
      ),
    ),
  );
}

function drawPickers() {
  const bar = document.getElementById("pickers");
  const focused = document.activeElement?.closest?.("#pickers") ? document.activeElement : null;
  const again = focused && (focused.id || (focused.name === "width" ? `input[name=width][value="${focused.value}"]` : null));
  replace(
    bar,
    select("run", "Run", runChoices(), page.run, (run) => pick(run, page.category)),
    select("category", "Category", categoryChoices(), page.category, (category) => pick(page.run, category)),
    widthPicker(pickWidth),
    page.chart && zoomButtons(),
  );
  if (again) (document.getElementById(again) ?? bar.querySelector(again.startsWith("input") ? again : "select"))?.focus();
  showZoom();
}

// jumps are links to the sections that are there.
function drawJumps() {
  const nav = document.getElementById("jumps");
  const sections = [...document.querySelectorAll("main section.card[aria-labelledby]")];
  replace(
    nav,
    el(
      "ul",
      {},
      sections.map((s) => el("li", {}, el("a", { href: "#" + s.id }, s.querySelector("h2").textContent))),
    ),
  );
  nav.hidden = sections.length < 3;
}
