// The last log lines and the settings: tables of texts.

import { byId, el, keyed, setAttribute, setText } from "./dom.js";
import { moment } from "./numbers.js";

const pick = el("select", { onchange: () => draw() }, el("option", { value: "" }, "all"), el("option", { value: "bad" }, "warnings and errors"));
const filter = el("input", { type: "search", autocomplete: "off", spellcheck: "false", oninput: () => draw() });
const count = el("span", { class: "muted" });
const lines = el("ol", { class: "lines" });
const scroll = el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Log lines, scrollable" }, lines);
const settings = el("tbody");

let log = [];

/// Puts both on the page.
export function setUpLog() {
  byId("log").append(el("div", { class: "tools" }, el("label", {}, "Level ", pick), el("label", {}, "Filter ", filter), count), scroll);
  const heads = ["key", "value", "given in"].map((head) => el("th", { scope: "col", class: "text" }, head));
  byId("settings").append(el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Settings, scrollable" }, el("table", {}, el("thead", {}, el("tr", {}, ...heads)), settings)));
}

/// Shows the log lines of a document.
export function showLog(doc) {
  const isSame = log.length === doc.log.length && log.at(-1)?.at === doc.log.at(-1)?.at && log.at(0)?.at === doc.log.at(0)?.at;
  log = doc.log;
  if (!isSame) draw();
}

function draw() {
  const wanted = filter.value.trim().toLowerCase();
  const isBad = (line) => line.level === "WARN" || line.level === "ERROR";
  const found = log.filter((line) => (pick.value === "" || isBad(line)) && line.text.toLowerCase().includes(wanted)).reverse();
  setText(count, found.length === log.length ? `${log.length} lines` : `${found.length} of ${log.length} lines`);
  const make = () => el("li", {}, el("time"), el("b"), el("span"));
  keyed(lines, found, (line, index) => index, make, (node, line) => {
    setAttribute(node, "data-level", { WARN: "warning", ERROR: "critical" }[line.level] ?? null);
    [moment(line.at), line.level, line.text].forEach((text, index) => setText(node.children[index], text));
  });
}

/// Shows the settings of a document; the recorder has masked what is secret.
export function showSettings(doc) {
  const make = () => el("tr", {}, el("th", { scope: "row" }), el("td", { class: "text" }), el("td", { class: "text" }));
  keyed(settings, doc.settings, (setting) => setting.key, make, (row, setting) => {
    [setting.key, setting.value, setting.place].forEach((text, index) => setText(row.children[index], text));
  });
}
