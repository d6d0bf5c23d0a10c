// The live page asks for the same JSON again and again, and keeps what the
// reader has chosen, zoomed, sorted out and scrolled to.

const live = { timer: 0, request: null, failures: 0, paused: false, body: "", pending: null };

function liveAddress() {
  const query = new URLSearchParams();
  if (page.run !== EVERY_RUN && page.run !== undefined) query.set("run", page.run);
  if (page.category) query.set("category", page.category);
  return page.live.source + "?" + query;
}

async function fetchModel() {
  clearTimeout(live.timer);
  live.request?.abort();
  const request = (live.request = new AbortController());
  const timeout = setTimeout(() => request.abort(), 30_000);
  try {
    const answer = await fetch(liveAddress(), { cache: "no-store", credentials: "same-origin", signal: request.signal });
    const body = await answer.text();
    if (request !== live.request) return;
    if (answer.status === 404 && pickWider()) return;
    if (!answer.ok) throw new Error(shorten(body.trim() || `the server answers ${answer.status}`, 80));
    live.failures = 0;
    if (body !== live.body) {
      live.pending = JSON.parse(body);
      live.body = body;
    }
    liveState("ok", `live, every ${page.live.refreshS} s`);
    showPending();
  } catch (error) {
    if (request !== live.request || live.paused) return;
    live.failures++;
    liveState(
      "critical",
      error.name === "AbortError" ? "no answer" : error.message === "Failed to fetch" ? "not reachable" : error.message,
    );
  } finally {
    clearTimeout(timeout);
    if (request === live.request && !live.paused) scheduleFetch();
  }
}

// showPending draws what has come, but not under a pointer that moves, nor a
// selection.
function showPending() {
  if (!live.pending) return;
  if (page.model && ((hovered && performance.now() - pointedAt < 15_000) || !getSelection().isCollapsed)) {
    liveState("ok", "live, waiting while you look");
    return;
  }
  page.model = live.pending;
  live.pending = null;
  showModel();
}

// pickWider is called where there are no spans of what was picked.
function pickWider() {
  if (page.category) page.category = "";
  else if (page.run !== EVERY_RUN && page.run !== undefined) page.run = EVERY_RUN;
  else return false;
  live.failures = 0;
  announce("There are no such spans: a wider choice is shown.");
  setTimeout(fetchModel);
  return true;
}

// scheduleFetch waits longer after failures, and sleeps while nobody looks.
function scheduleFetch() {
  clearTimeout(live.timer);
  if (document.hidden) return;
  live.timer = setTimeout(fetchModel, page.live.refreshS * 1000 * Math.min(2 ** live.failures, 16));
}

function liveState(kind, text) {
  const state = document.getElementById("live-state");
  if (!state) return;
  state.className = "badge " + kind;
  state.textContent = live.paused ? "paused" : text;
}

function liveControls() {
  const button = el(
    "button",
    {
      type: "button",
      class: "more",
      "aria-pressed": "false",
      onclick: () => {
        live.paused = !live.paused;
        button.setAttribute("aria-pressed", String(live.paused));
        button.textContent = live.paused ? "Go on" : "Pause";
        liveState(live.paused ? "none" : "ok", "live");
        if (live.paused) {
          clearTimeout(live.timer);
          live.request?.abort();
        } else {
          fetchModel();
        }
      },
    },
    "Pause",
  );
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && !live.paused) fetchModel();
  });
  return el("span", { class: "live" }, el("span", { id: "live-state", class: "badge none" }, "connecting"), button);
}
