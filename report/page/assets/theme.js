// Colours live in the style sheet; charts ask for them here.

const OUTCOMES = [
  "success",
  "rate_limited",
  "capacity_error",
  "server_error",
  "client_error",
  "connection_error",
  "malformed",
  "cancelled",
  "circuit_open",
  "other_error",
];

let computed = null;

// color returns a custom property of the style sheet, as in color("ink").
function color(name) {
  computed ??= getComputedStyle(document.documentElement);
  return computed.getPropertyValue("--" + name).trim();
}

function outcomeColor(outcome) {
  return color("outcome-" + (OUTCOMES.includes(outcome) ? outcome : "other_error").replaceAll("_", "-"));
}

const prefersDark = matchMedia("(prefers-color-scheme: dark)");
const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");

// themeWish is light, dark, or null for what the system says. A page from a
// disk may not remember it.
let themeWish = null;
try {
  themeWish = localStorage.getItem("spanbucket-theme");
} catch {
  /* not allowed here */
}

function isDark() {
  return document.documentElement.dataset.theme === "dark";
}

function applyTheme(theme) {
  const wanted = theme ?? (themeWish === "dark" || themeWish === "light" ? themeWish : prefersDark.matches ? "dark" : "light");
  document.documentElement.dataset.theme = wanted;
  computed = null;
}

function themeButton(onchange) {
  const button = iconButton("sun", "", () => {
    themeWish = isDark() ? "light" : "dark";
    try {
      localStorage.setItem("spanbucket-theme", themeWish);
    } catch {
      /* not allowed here */
    }
    refresh();
  });
  function refresh() {
    applyTheme();
    const label = isDark() ? "Switch to light colours" : "Switch to dark colours";
    button.setAttribute("aria-label", label);
    button.title = label;
    replace(button, icon(isDark() ? "sun" : "moon"));
    onchange();
  }
  // Paper is light, whatever the system prefers; browsers say that it changed
  // while they print.
  let printing = false;
  prefersDark.addEventListener("change", () => {
    if (!printing) refresh();
  });
  addEventListener("beforeprint", () => {
    printing = true;
    applyTheme("light");
    onchange(true);
  });
  addEventListener("afterprint", () => {
    printing = false;
    refresh();
  });
  button.refresh = refresh;
  return button;
}

// ramp returns the colour of a share 0…1 on the scale of the heat map, which
// has five stops.
function ramp(share) {
  const stops = rampStops();
  const x = Math.min(Math.max(share, 0), 1) * (stops.length - 1);
  const i = Math.min(Math.floor(x), stops.length - 2);
  const mixed = stops[i].map((v, k) => Math.round(v + (stops[i + 1][k] - v) * (x - i)));
  return `rgb(${mixed.join(",")})`;
}

let stopsOf = { theme: null, stops: [] };
function rampStops() {
  const theme = document.documentElement.dataset.theme;
  if (stopsOf.theme !== theme) {
    const stops = [1, 2, 3, 4, 5].map((i) =>
      color("heat-" + i)
        .match(/\w\w/g)
        .map((h) => parseInt(h, 16)),
    );
    stopsOf = { theme, stops };
  }
  return stopsOf.stops;
}
