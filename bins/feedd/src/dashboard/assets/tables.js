// The tables of sources and of symbols.

import { byId } from "./dom.js";
import { duration, grouped, percent } from "./numbers.js";
import { Table } from "./table.js";

const number = (key, label, shown = grouped, level = null) => ({
  key,
  label,
  value: (row) => exact(row[key]),
  shown: (row) => shown(row[key], row),
  path: (row) => `${row.path}.${key}`,
  level: level && ((row) => (Number(row[key]) > 0 ? level : null)),
});

// What is larger than a double holds is compared exactly, too: a number and a BigInt compare.
function exact(value) {
  return typeof value === "string" ? BigInt(value) : (value ?? 0);
}

const text = (key, label) => ({ key, label, isText: true, value: (row) => row[key], shown: (row) => row[key] });

const SOURCES = [
  text("name", "source"),
  { key: "state", label: "state", isText: true, value: sourceState, shown: sourceState, level: (row) => (Number(row.streams_mute) > 0 ? "warning" : null) },
  number("accepted_per_s", "events/s"),
  number("accepted", "events"),
  number("frames", "frames"),
  { ...number("ring_depth", "ring", (depth, row) => `${grouped(depth)} (${percent(depth, row.ring_capacity)})`) },
  { ...number("ring_peak", "peak", (peak, row) => `${grouped(peak)} (${percent(peak, row.ring_capacity)})`) },
  number("blocked_ns", "waited", duration),
  number("gaps", "gaps", grouped, "warning"),
  number("dropped", "dropped", grouped, "critical"),
  number("frames_rejected", "rejected", grouped, "warning"),
  number("reconnects", "reconnects"),
];

const SYMBOLS = [
  text("symbol", "symbol"),
  text("venue", "venue"),
  text("source", "source"),
  { key: "silent", label: "state", value: (row) => (row.silent ? 1 : 0), shown: (row) => (row.silent ? "SILENT" : "heard"), level: (row) => (row.silent ? "warning" : null) },
  { key: "rate", label: "messages/s", value: (row) => row.rate, shown: (row) => (row.rate < 10 ? row.rate.toFixed(1) : grouped(Math.round(row.rate))) },
  number("messages", "messages"),
  number("quiet_ns", "last heard", (ns) => (Number(ns) === 0 ? "now" : `${duration(ns)} ago`)),
  number("usual_ns", "usually every", (ns) => (Number(ns) === 0 ? "–" : duration(ns))),
];

const sources = new Table({ id: "sources-table", label: "Sources", columns: SOURCES, sort: ["name", false] });
const symbols = new Table({ id: "symbols-table", label: "Symbols", columns: SYMBOLS, sort: ["silent", true], filterLabel: "Filter" });

/// Puts the tables on the page.
export function setUpTables() {
  byId("sources").append(sources.element);
  byId("symbols").append(symbols.element);
}

/// Shows the sources and symbols of a document.
export function showTables(doc, trend) {
  sources.show(doc.sources.map((source, index) => ({ ...source, path: `sources.${index}` })));
  const rate = (row) => trend.growth(`symbol ${row.source} ${row.venue} ${row.symbol}`, row.messages) ?? 0;
  symbols.show(doc.symbols.map((row, index) => ({ ...row, path: `symbols.${index}`, rate: rate(row) })));
}

function sourceState(source) {
  if (source.ended) return "ended";
  if (Number(source.streams) === 0) return "runs";
  const mute = Number(source.streams_mute) > 0 ? `, ${grouped(source.streams_mute)} mute` : "";
  return `${grouped(source.connections)} connected, ${grouped(source.streams)} streams${mute}`;
}
