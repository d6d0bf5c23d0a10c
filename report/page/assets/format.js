// Numbers as the command line writes them. A missing value is a dash, never 0.

const MISSING = "–";

function isMissing(v) {
  return v === null || v === undefined || (typeof v === "number" && !Number.isFinite(v));
}

// group puts commas between thousands.
function group(number) {
  const [whole, fraction] = String(number).split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return fraction === undefined ? grouped : grouped + "." + fraction;
}

// fixed rounds to places decimals, halves to even, as Go does.
function fixed(v, places) {
  const text = v.toFixed(places);
  const rest = Math.abs(v)
    .toFixed(Math.min(places + 30, 100))
    .split(".")[1]
    .slice(places);
  if (/^50*$/.test(rest) && "13579".includes(text.at(-1))) {
    return text.slice(0, -1) + String(Number(text.at(-1)) - 1);
  }
  return text;
}

// decimals writes v with a fixed number of decimals, more where it would
// otherwise have fewer significant digits than asked for, but at most six.
function decimals(v, fewest, significant) {
  let places = fewest;
  if (v !== 0) {
    const magnitude = Math.floor(Math.log10(Math.abs(v))) + 1;
    places = Math.min(Math.max(fewest, significant - magnitude), 6);
  }
  return group(fixed(v, places));
}

function count(n) {
  return isMissing(n) ? MISSING : group(String(n));
}

// compact rounds counts from a million up: 123.9M.
function compact(n) {
  if (isMissing(n)) return MISSING;
  let v = n,
    unit = "";
  for (const next of ["M", "G", "T"]) {
    if ((v < 1e6 && unit === "") || v < 1e3) break;
    v /= unit === "" ? 1e6 : 1e3;
    unit = next;
  }
  return unit === "" ? count(n) : decimals(v, 1, 3) + unit;
}

// ms rounds milliseconds to one decimal; to three significant digits below ten,
// to whole ones from a second up.
function ms(v) {
  if (isMissing(v)) return MISSING;
  return v >= 1000 ? decimals(v, 0, 0) : decimals(v, 1, 3);
}

// percent shows a share; one that is not 0 or 1 never looks like it.
function percent(v) {
  if (isMissing(v)) return MISSING;
  if (v > 0 && v < 0.0005) return "<0.1\u00a0%";
  if (v < 1 && v >= 0.9995) return "99.9\u00a0%";
  return fixed(v * 100, 1) + "\u00a0%";
}

// signedPercent shows a relative change.
function signedPercent(v) {
  if (isMissing(v)) return MISSING;
  return (v > 0 ? "+" : v < 0 ? "−" : "±") + fixed(Math.abs(v) * 100, 1) + "\u00a0%";
}

function usd(v) {
  return isMissing(v) ? MISSING : "$" + decimals(v, 2, 3);
}

// rate writes requests per second.
function rate(v) {
  return isMissing(v) ? MISSING : decimals(v, 1, 3);
}

// short writes a number of an axis: up to three digits, no zeros at its end.
function short(v) {
  return group(String(Number(v.toPrecision(3))));
}

// sentence keeps a name that a sentence quotes from turning the direction of what
// follows. Names that stand alone stay as they are.
function sentence(text) {
  return String(text ?? "").replace(/[\u202a-\u202e\u2066-\u2069]/g, "\ufffd");
}

const pad = (n) => String(n).padStart(2, "0");

// clock writes the time of day of Unix seconds, in UTC.
function clock(seconds) {
  if (isMissing(seconds)) return MISSING;
  const t = new Date(seconds * 1000);
  return `${pad(t.getUTCHours())}:${pad(t.getUTCMinutes())}:${pad(t.getUTCSeconds())}`;
}

function day(seconds) {
  return new Date(seconds * 1000).toISOString().slice(0, 10);
}

// span writes an interval of Unix seconds, the day once where it is one.
function interval(from, to) {
  if (day(from) === day(to)) return `${day(from)} ${clock(from)} – ${clock(to)} UTC`;
  return `${day(from)} ${clock(from)} – ${day(to)} ${clock(to)} UTC`;
}

// seconds writes a duration.
function seconds(s) {
  if (isMissing(s)) return MISSING;
  if (s < 0) return "−" + seconds(-s);
  if (s > 0 && s < 1) return ms(s * 1000) + " ms";
  if (s < 60) return decimals(s, 0, s < 10 && s % 1 !== 0 ? 2 : 0) + " s";
  const parts = [
    [86400, "d"],
    [3600, "h"],
    [60, "min"],
    [1, "s"],
  ];
  const out = [];
  let rest = Math.round(s);
  for (const [size, unit] of parts) {
    const n = Math.floor(rest / size);
    rest -= n * size;
    if (n > 0 || out.length > 0) out.push([n, unit]);
  }
  return out
    .slice(0, 2)
    .filter(([n], i) => i === 0 || n > 0)
    .map(([n, unit]) => `${n} ${unit}`)
    .join(" ");
}

// width names the width of a bucket: 10 s, 5 min, 1 h.
function widthName(s) {
  return seconds(s);
}

// unixSeconds reads YYYY-MM-DDTHH:MM:SSZ.
function unixSeconds(utc) {
  if (isMissing(utc)) return null;
  const v = Date.parse(utc);
  return Number.isNaN(v) ? null : v / 1000;
}

// instant writes a UTC text as people read it; what is none stays as it is.
function instant(utc) {
  if (isMissing(utc)) return MISSING;
  return String(utc).replace("T", " ").replace(/Z$/, "");
}

// seen writes when something began, as well as it is known: in the second that
// begins then, or in so many. Of the end it leaves out what the beginning says.
function seen(utc, withinS) {
  const from = unixSeconds(utc);
  if (from === null || !(withinS > 1)) return instant(utc);
  const to = from + withinS,
    text = instant(utc);
  if (day(from) !== day(to)) return `${text} – ${day(to)} ${clock(to)}`;
  return `${text} – ${clock(from).slice(0, 5) === clock(to).slice(0, 5) ? clock(to).slice(5) : clock(to)}`;
}

// words makes a name of the model readable: rate_limited becomes rate limited.
function words(name) {
  return String(name).replaceAll("_", " ");
}

function plural(n, one, many) {
  return `${count(n)} ${n === 1 ? one : (many ?? one + "s")}`;
}
