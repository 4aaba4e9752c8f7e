// The way of an event: source, ring, batching, journal, sinks, and the analysis lane beside them.

import { byId, el, keyed, setAttribute, setField, setText } from "./dom.js";
import { bytes, duration, grouped, percent } from "./numbers.js";
import { waits } from "./waits.js";

const SOURCE = "sources";

/// Draws the flow of a document.
export function showFlow(doc, trend) {
  const said = waits(doc, trend);
  const [sources, batching, lanes] = parts();
  showSources(sources, doc, said);
  showBatching(batching, doc, said);
  showLanes(lanes, doc, said);
}

let made = null;

function parts() {
  if (!made) {
    made = [el("ul", { class: "rows" }), node("Batching"), el("div", { class: "lanes" })];
    made[2].append(storageLane(), analysisLane());
    byId("flow").append(...made);
  }
  return made;
}

// A box: a name, a figure, lines below.
function node(name) {
  return el("div", { class: "node" }, el("b", {}, name), el("span", { class: "main" }), el("span", { class: "muted more" }));
}

// A pipe with a head: it fills from its far end, as a queue does before who is slow.
function hop(label) {
  const meter = el("span", { class: "pipe", role: "meter", "aria-valuemin": 0, "aria-valuemax": 100, "aria-label": label });
  meter.append(el("span", { class: "peak" }), el("span", { class: "fill" }));
  const pipe = el("span", { class: "arrow" }, meter, el("span", { class: "head", "aria-hidden": "true" }));
  return el("div", { class: "hop" }, el("span", { class: "muted label" }), pipe, el("span", { class: "waits" }));
}

function showHop(node, { label, fill = 0, peak = 0, waits }) {
  const [text, pipe, reason] = node.children;
  const [meter] = pipe.children;
  const [high, level] = meter.children;
  setText(text, label);
  setAttribute(meter, "aria-valuenow", Math.round(Math.min(fill, 1) * 100));
  level.style.width = `${Math.min(fill, 1) * 100}%`;
  high.style.width = `${Math.min(peak, 1) * 100}%`;
  setAttribute(node, "data-waits", waits ? "" : null);
  setText(reason, waits ?? "");
}

function share(part, whole) {
  return Number(whole) > 0 ? Number(part) / Number(whole) : 0;
}

function showSources(list, doc, said) {
  const make = () => el("li", { class: "row" }, node(""), hop("ring"));
  keyed(list, doc.sources, (source, index) => `${index} ${source.name}`, make, (row, source, index) => {
    const [box, pipe] = row.children;
    const [name, main, more] = box.children;
    const path = `${SOURCE}.${index}`;
    setText(name, source.name);
    setField(main, `${path}.accepted_per_s`, source.accepted_per_s, `${grouped(source.accepted_per_s)}/s`);
    setText(more, sourceState(source));
    setAttribute(box, "data-level", sourceLevel(source));
    const [fill, peak] = [share(source.ring_depth, source.ring_capacity), share(source.ring_peak, source.ring_capacity)];
    const label = `ring ${percent(fill, 1)}, peak ${percent(peak, 1)}`;
    setAttribute(pipe.querySelector(".pipe"), "aria-label", `ring of ${source.name}`);
    showHop(pipe, { label, fill, peak, waits: said.sources[index] });
  });
}

function sourceState(source) {
  if (source.ended) return "ended";
  if (Number(source.streams) === 0) return "runs";
  const mute = Number(source.streams_mute) > 0 ? `, ${grouped(source.streams_mute)} mute` : "";
  return `${grouped(source.connections)} connected, ${grouped(source.streams)} streams${mute}`;
}

function sourceLevel(source) {
  if (!source.ended && Number(source.streams) > 0 && Number(source.connections) === 0) return "critical";
  return Number(source.streams_mute) > 0 || Number(source.dropped) > 0 ? "warning" : null;
}

function showBatching(box, doc) {
  const [, main, more] = box.children;
  setField(main, "totals.accepted_per_s", doc.totals.accepted_per_s, `${grouped(doc.totals.accepted_per_s)}/s`);
  setText(more, `${grouped(doc.batching.blocks)} blocks, waited ${duration(doc.batching.blocked_ns)} in all`);
}

function storageLane() {
  const first = el("div", { class: "row" }, hop("link to storage"), node("Journal"));
  return el("div", { class: "lane storage" }, first, el("ul", { class: "rows" }));
}

function analysisLane() {
  return el("div", { class: "lane" }, hop("blocks that wait for bars"), node("Bars"), hop("items that wait for strategies"), node("Strategies"));
}

function showLanes(lanes, doc, said) {
  const [storage, analysis] = lanes.children;
  const [first, sinks] = storage.children;
  const [link, journal] = first.children;
  const { link_depth: depth, link_capacity: capacity } = doc.batching;
  const linkShown = { label: `link ${grouped(depth)}/${grouped(capacity)} blocks`, fill: share(depth, capacity), waits: said.storage };
  showHop(link, linkShown);
  journal.hidden = !doc.journal;
  if (doc.journal) showJournal(journal, doc.journal, said.journal);
  const make = () => el("li", { class: "row" }, hop(""), node(""));
  keyed(sinks, doc.sinks, (sink, index) => `${index} ${sink.name}`, make, (row, sink, index) => {
    showSink(row, sink, doc.totals.accepted, said.sinks[index]);
  });
  analysis.hidden = !doc.analysis;
  if (doc.analysis) showAnalysis(analysis, doc.analysis, said);
}

function showJournal(box, journal, waiting) {
  const [, main, more] = box.children;
  setField(main, "journal.durable_seq", journal.durable_seq, `durable to ${grouped(journal.durable_seq)}`);
  const used = `${percent(journal.bytes, journal.bytes_max)} of ${bytes(journal.bytes_max)}`;
  setText(more, waiting ? `${waiting}; ${used}` : `${used}, ${duration(journal.commit_ns_mean)} a commit`);
  setAttribute(box, "data-level", waiting ? "critical" : share(journal.bytes, journal.bytes_max) >= 0.8 ? "warning" : null);
}

function showSink(row, sink, accepted, waiting) {
  const [pipe, box] = row.children;
  const [name, main, more] = box.children;
  setText(name, sink.name);
  setText(main, sink.state);
  setText(more, `${grouped(sink.stored)} stored, lag ${duration(sink.lag_ns)}`);
  setAttribute(box, "data-level", sinkLevel(sink));
  setAttribute(pipe.querySelector(".pipe"), "aria-label", `events that wait for ${sink.name}, of all accepted`);
  showHop(pipe, { label: `backlog ${grouped(sink.backlog)}`, fill: share(sink.backlog, accepted), waits: waiting });
}

/// How bad the state of a sink is.
export function sinkLevel(sink) {
  if (sink.state === "stopped") return "critical";
  return sink.state === "closed" || sink.state === "starting" ? null : "warning";
}

function showAnalysis(lane, analysis, said) {
  const [toBars, bars, toStrategies, strategies] = lane.children;
  const { coordinator_processor: first, processor_analysis: second } = analysis.backpressure;
  const edge = (edge) => `${edge.mode}, ${edge.percent ?? 0}\u202f% too early`;
  showHop(toBars, { label: edge(first), waits: said.processor });
  showHop(toStrategies, { label: edge(second), waits: said.engine });
  const level = (edge) => ({ warning: "warning", critical: "critical" })[edge.verdict] ?? null;
  const { processor, engine } = analysis;
  setText(bars.children[1], `${grouped(processor.bars)} bars`);
  setText(bars.children[2], `${duration(processor.item_ns.p99)} p99 a block`);
  setAttribute(bars, "data-level", level(first));
  setText(strategies.children[1], `${grouped(engine.cycles)} cycles`);
  setText(strategies.children[2], `${duration(engine.cycle_ns.p99)} p99 a cycle`);
  setAttribute(strategies, "data-level", level(second));
}
