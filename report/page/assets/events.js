// Bursts of errors, anomalies and objectives, as tables.

function burstsSection() {
  const b = page.pick.bursts;
  const rows = list(b?.rows);
  if (rows.length === 0) return null;
  return card("bursts", "Bursts of errors", null, tableOf({ label: "Bursts of errors", rows, columns: [
    { head: "begin (UTC)", text: (r) => instant(r.start_utc) },
    { head: "end (UTC)", node: (r) => r.still_active ? badge("warning", "still active") : el("span", {}, instant(r.end_utc)), text: (r) => r.end_utc },
    number("lasted", "duration_s", seconds), number("requests", "requests", count), number("failed", "error_share", percent, { bar: "bar-error" }),
    number("at the peak", "peak_error_share", percent), number("recovery", "recovery_s", seconds),
  ] }));
}

function anomaliesSection() {
  const rows = list(page.pick.anomalies?.rows);
  if (rows.length === 0) return null;
  return card("anomalies", "Anomalies", "what does not fit what came before; expected faults are none", tableOf({ label: "Anomalies", rows, columns: [
    { head: "begin (UTC)", text: (r) => instant(r.start_utc) }, { head: "kind", text: (r) => words(r.kind) },
    { head: "what", text: (r) => r.text ?? r.detail }, number("lasted", "duration_s", seconds),
  ] }));
}

function objectivesSection() {
  const rows = list(page.pick.slos?.rows ?? page.model.slos?.rows);
  if (rows.length === 0) return null;
  return card("slos", "Objectives", "counted exactly when spans arrive; a burn rate of 1 uses up the error budget just in time", tableOf({ label: "Objectives", rows, columns: [
    text("objective", "name"), number("target", "objective", percent), number("reached", "good_share", percent),
    number("good", "good", count), number("total", "total", count),
  ] }));
}
