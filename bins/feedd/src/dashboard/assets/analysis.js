// The report of the analysis lane: who falls behind, how bad that is, what helps, and which strategy takes the time.

import { byId, el, figures, keyed, setAttribute, setText } from "./dom.js";
import { duration, grouped } from "./numbers.js";

const EDGES = [["coordinator_processor", "Coordinator → Processor"], ["processor_analysis", "Processor → Analysis"]];
const TIMES = ["p50", "p99", "p999", "max"];
const LEVELS = { perfect: "ok", good: "ok", warning: "warning", critical: "critical" };
const SYMBOLS_MAX = 5;

const none = el("p", { class: "muted" }, "Off: neither bars nor strategies are configured.");
const sums = el("dl", { class: "figures small" });
const edges = el("div", { class: "edges" });
const body = el("tbody");
const heads = ["stage or strategy", "calls", ...["p50", "p99", "p99.9", "max"], "signals", "overlong", "panics", "suspended"];
const table = el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Times of the analysis, scrollable" }, el("table", {}, el("thead", {}, el("tr", {}, ...heads.map((head, index) => el("th", { scope: "col", class: index === 0 ? "text" : null }, head)))), body));

/// Puts the report on the page.
export function setUpAnalysis() {
  byId("analysis").append(none, sums, edges, table);
}

/// Shows the report of a document.
export function showAnalysis(doc) {
  const report = doc.analysis;
  none.hidden = Boolean(report);
  [sums, edges, table].forEach((part) => (part.hidden = !report));
  if (!report) return;
  const { processor } = report;
  const sum = (name, key, level = null) => ({ name, path: `analysis.processor.${key}`, value: processor[key], shown: grouped(processor[key]), level: Number(processor[key]) > 0 ? level : null });
  figures(sums, [
    { name: "backpressure", path: "analysis.verdict", value: report.verdict, shown: report.verdict, level: LEVELS[report.verdict] },
    sum("bars", "bars"),
    sum("of them revisions", "revised"),
    sum("trades too late", "late", "warning"),
    { name: "cycles", path: "analysis.engine.cycles", value: report.engine.cycles, shown: grouped(report.engine.cycles) },
  ]);
  showEdges(report.backpressure);
  showTimes(report);
}

function showEdges(backpressure) {
  const make = () => el("article", { class: "edge" }, el("h3"), el("p", { class: "what" }, el("strong"), " ", el("span")), el("p", { class: "remedy" }), el("p", { class: "muted" }));
  keyed(edges, EDGES.filter(([key]) => backpressure[key]), ([key]) => key, make, (node, [key, name]) => {
    const edge = backpressure[key];
    const [title, what, remedy, more] = node.children;
    setAttribute(node, "data-level", LEVELS[edge.verdict] ?? null);
    setText(title, `${name} (${edge.mode} mode)`);
    setText(what.children[0], edge.verdict.toUpperCase());
    setText(what.children[1], `${grouped(edge.backpressure)} of ${grouped(edge.delivered)} ${edge.unit}${edge.percent === null ? "" : ` (${edge.percent.toFixed(2)}\u202f%)`} were delivered before the one before was done`);
    setText(remedy, `→ ${edge.advice}`);
    const most = edge.by_symbol.slice(0, SYMBOLS_MAX).map((entry) => `${entry.symbol} ${grouped(entry.events)}`);
    const counts = `overruns ${grouped(edge.overruns)}, left out ${grouped(edge.skipped)}, waits ${grouped(edge.waits)} (${duration(edge.blocked_ns)})`;
    setText(more, most.length > 0 ? `${counts}; most by symbol: ${most.join(", ")}` : counts);
  });
}

function showTimes({ processor, engine, strategies }) {
  const rows = [
    { name: "processor, a block", calls: processor.items, times: processor.item_ns },
    { name: "engine, a cycle", calls: engine.cycles, times: engine.cycle_ns },
    ...strategies.map((strategy) => ({ ...strategy, name: `strategy ${strategy.name}`, times: strategy.call_ns })),
  ];
  const make = () => el("tr", {}, el("th", { scope: "row" }), ...heads.slice(1).map(() => el("td")));
  keyed(body, rows, (row) => row.name, make, (line, row) => {
    const shown = [row.name, grouped(row.calls), ...TIMES.map((time) => duration(row.times[time])), ...["signals", "overlong", "panics", "suspended"].map((key) => grouped(row[key]))];
    shown.forEach((text, index) => setText(line.children[index], text));
    setAttribute(line, "data-level", Number(row.panics ?? 0) + Number(row.suspended ?? 0) > 0 ? "critical" : Number(row.overlong ?? 0) > 0 ? "warning" : null);
  });
}
