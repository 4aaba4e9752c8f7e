// What is wrong, since when, and what helps.

import { byId, el, keyed, setAttribute, setText } from "./dom.js";
import { moment } from "./numbers.js";

/// Shows the findings of a document, with what its alerts say of them.
export function showAlerts(doc) {
  const alerts = doc.alerts ?? [];
  const items = doc.findings.map((finding) => ({ ...finding, alert: alerts.find((alert) => alert.rule === finding.rule && alert.who === finding.who) }));
  // An alert outlives its finding for a while.
  const isFound = (alert) => doc.findings.some((finding) => finding.rule === alert.rule && finding.who === alert.who);
  alerts.filter((alert) => !isFound(alert)).forEach((alert) => items.push({ ...alert, level: "none", remedy: "", alert }));
  const list = items.length > 0 ? items : [{ level: "ok", rule: "", who: "Nothing is wrong", text: "", remedy: "" }];
  const make = () => el("li", {}, el("span", { class: "mark", "aria-hidden": "true" }), el("div", {}, el("p", { class: "what" }, el("strong"), " ", el("b"), " ", el("span")), el("p", { class: "remedy" }), el("p", { class: "muted" })));
  keyed(byId("alerts"), list, (item, index) => `${index} ${item.rule} ${item.who}`, make, (node, item) => {
    const [what, remedy, note] = node.children[1].children;
    setAttribute(node, "data-level", item.level);
    setText(what.children[0], { ok: "", none: "RESOLVED" }[item.level] ?? item.level.toUpperCase());
    setText(what.children[1], item.who);
    setText(what.children[2], item.text ?? "");
    setText(remedy, item.remedy ? `→ ${item.remedy}` : "");
    setText(note, [item.rule, noteOf(item.alert)].filter((text) => text).join(" · "));
  });
}

function noteOf(alert) {
  if (!alert) return "";
  const until = alert.until ? ` until ${moment(alert.until)}` : "";
  return `${alert.state} since ${moment(alert.since)}${until} UTC`;
}
