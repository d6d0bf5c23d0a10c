// Elements. Text only ever becomes a text node: nothing here parses HTML.

const SVG = "http://www.w3.org/2000/svg";

// el makes an element. Attributes: "on" + event for listeners, style as an
// object, everything else as it is; undefined and false leave one out.
function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") node.addEventListener(name.slice(2), value);
    else if (name === "style") setStyle(node, value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat()) {
    if (child === undefined || child === null || child === false) continue;
    node.append(child instanceof Node ? child : String(child));
  }
  return node;
}

function setStyle(node, style) {
  for (const [property, value] of Object.entries(style)) node.style.setProperty(property, value);
}

function replace(node, ...children) {
  node.replaceChildren(...children.flat().filter((c) => c !== null && c !== undefined && c !== false));
}

// card is a section of the page with a heading.
function card(id, title, hint, ...children) {
  return el(
    "section",
    { class: "card", id, "aria-labelledby": id + "-title" },
    el("div", { class: "card-head" }, el("h2", { id: id + "-title" }, title), hint && el("p", { class: "hint" }, hint)),
    ...children,
  );
}

function swatch(color) {
  return el("span", { class: "swatch", "aria-hidden": "true", style: { "background-color": color } });
}

const ICONS = {
  sun: "M12 7a5 5 0 1 0 0 10 5 5 0 0 0 0-10M12 1v3M12 20v3M4.2 4.2l2.1 2.1M17.7 17.7l2.1 2.1M1 12h3M20 12h3M4.2 19.8l2.1-2.1M17.7 6.3l2.1-2.1",
  moon: "M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5z",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  done: "M4 12.5l5 5L20 6.5",
  in: "M5 12h14M12 5v14",
  out: "M5 12h14",
  left: "M14.5 5.5L8 12l6.5 6.5",
  right: "M9.5 5.5L16 12l-6.5 6.5",
  all: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
  warning: "M12 3.5L22 20.5H2zM12 10v5M12 17.6v.4",
  critical: "M8 2.5h8l5.5 5.5v8L16 21.5H8L2.5 16V8zM12 7v6M12 16.4v.4",
  none: "M5 12h14",
  print: "M7 8V3h10v5M7 17H4V8h16v9h-3M7 14h10v7H7z",
};

function icon(name) {
  return svg(
    "svg",
    { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true", focusable: "false" },
    svg("path", { d: ICONS[name] }),
  );
}

// iconButton is a button that shows an icon and is called by name.
function iconButton(name, label, onclick, attributes = {}) {
  return el(
    "button",
    { type: "button", class: "icon-button", "aria-label": label, title: label, onclick, ...attributes },
    icon(name),
  );
}

// copyButton copies text, and says so.
function copyButton(text, what) {
  const button = iconButton(
    "copy",
    `Copy ${what}`,
    async () => {
      const copied = await copyText(text);
      replace(button, icon(copied ? "done" : "critical"));
      announce(copied ? `${what} copied` : `${what} could not be copied`);
      setTimeout(() => replace(button, icon("copy")), 1500);
    },
    { class: "icon-button small" },
  );
  return button;
}

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Pages from a disk may have no clipboard of their own.
    const area = el("textarea", { class: "offscreen", "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    return copied;
  }
}

// announce tells screen readers what happened.
function announce(text) {
  const live = document.getElementById("announcements");
  if (live) live.textContent = text;
}
