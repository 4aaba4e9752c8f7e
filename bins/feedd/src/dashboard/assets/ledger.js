// What is lost or missing: sums of every kind, and the last holes that were marked in the data.

import { byId, el, figures, keyed, setText } from "./dom.js";
import { between, duration, grouped, moment } from "./numbers.js";

const HEADS = ["to", "for", "what", "source", "reason", "missing"];
const body = el("tbody");
const table = el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Gaps, scrollable" }, el("table", {}, el("thead", {}, el("tr", {}, ...HEADS.map((head) => el("th", { scope: "col", class: "text" }, head)))), body));
const note = el("p", { class: "muted" });

/// Puts the ledger on the page.
export function setUpLedger() {
  byId("gaps").append(note, table);
}

/// Shows the losses and gaps of a document.
export function showLedger(doc) {
  const { totals } = doc;
  const total = (name, key, level) => ({ name, path: `totals.${key}`, value: totals[key], shown: grouped(totals[key]), level: Number(totals[key]) > 0 ? level : null });
  const missed = doc.sinks.map((sink, index) => ({ name: `missed by ${sink.name}`, path: `sinks.${index}.missed`, value: sink.missed, shown: grouped(sink.missed), level: Number(sink.missed) > 0 ? "critical" : null }));
  figures(byId("losses"), [
    total("dropped by policy", "dropped", "critical"),
    ...missed,
    total("frames not decoded", "frames_rejected", "warning"),
    total("events not valid", "rejected", "warning"),
    total("known already", "duplicate", null),
    total("gaps marked", "gaps", "warning"),
    total("account did not hold", "account_violations", "critical"),
  ]);
  const gaps = [...doc.gaps].reverse();
  table.hidden = gaps.length === 0;
  setText(note, gaps.length === 0 ? "No gap since the start." : `The last ${gaps.length} of ${grouped(totals.gaps)} gaps, newest first; all are marked in the data.`);
  const make = () => el("tr", {}, ...HEADS.map((head, index) => el(index === 0 ? "th" : "td", { class: "text", scope: index === 0 ? "row" : null })));
  keyed(body, gaps, (gap, index) => index, make, (row, gap) => {
    const shown = [moment(gap.to ?? gap.from), duration(between(gap.from, gap.to)), gap.symbol || "the connection", gap.source, gap.reason, missing(gap)];
    shown.forEach((text, index) => setText(row.children[index], text));
  });
}

function missing(gap) {
  const numbers = gap.first_missing === null ? "" : `numbers ${gap.first_missing} to ${gap.last_missing ?? "?"}`;
  const events = gap.events === null ? "" : `${grouped(gap.events)} events`;
  return [events, numbers].filter((text) => text !== "").join(", ") || "not known";
}
