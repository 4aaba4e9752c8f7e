// Who waits for whom: what the counters of two documents, some seconds apart, say about each hand-off. Pure.

import { duration, grouped, percent } from "./numbers.js";

// A wait that takes less of the time is noise of a busy machine.
const SHARE_MIN = 0.01;
// Growth a second from which a backlog counts as growing, as a share of the rate.
const BEHIND_SHARE_MIN = 0.02;

/// What every hand-off says: `{waits: text or null}` by its name.
export function waits(doc, trend) {
  const share = (name, nanos) => (trend.growth(name, nanos) ?? 0) / 1e9;
  const said = { sources: [], sinks: [] };
  const { batching, journal, analysis } = doc;
  doc.sources.forEach((source, index) => {
    said.sources.push(wait(share(`source ${index} ${source.name}`, source.blocked_ns), source.name, "batching"));
  });
  const edges = analysis?.backpressure ?? {};
  const processor = edgeShare(edges.coordinator_processor, "processor", trend);
  const engine = edgeShare(edges.processor_analysis, "engine", trend);
  const held = share("batching", batching.blocked_ns);
  // Batching waits for the slowest of its lanes; its wait is the analysis lane's where that one holds it.
  const isAnalysis = processor.blocked >= held / 2;
  // A lane that is not live makes batching wait, and counts that when the wait is over.
  const isHeld = (edges.coordinator_processor?.mode ?? "live") !== "live";
  const store = `${journal ? "the journal" : "the sinks"}${isHeld ? " or bars" : ""}`;
  said.storage = isAnalysis ? null : wait(held, "batching", store);
  said.processor = wait(processor.blocked, "batching", "bars") ?? behind(processor, edges.coordinator_processor, "bars");
  said.engine = wait(engine.blocked, "bars", "strategies") ?? behind(engine, edges.processor_analysis, "strategies");
  said.journal = journal && Number(journal.waiting_ns) > 0 ? `waits for room, ${duration(journal.waiting_ns)} now` : null;
  const rate = Number(doc.totals.accepted_per_s);
  said.sinks = doc.sinks.map((sink, index) => lane(sink, trend.growth(`sink ${index} ${sink.name}`, sink.backlog), rate));
  return said;
}

function wait(share, who, whom) {
  return share >= SHARE_MIN ? `${who} waits for ${whom}, ${percent(Math.min(share, 1), 1)} of the time` : null;
}

function edgeShare(edge, name, trend) {
  if (!edge) return { blocked: 0, skipped: 0, late: 0 };
  return {
    blocked: (trend.growth(`${name} blocked`, edge.blocked_ns) ?? 0) / 1e9,
    skipped: trend.growth(`${name} skipped`, edge.skipped) ?? 0,
    late: trend.growth(`${name} late`, edge.backpressure) ?? 0,
    delivered: trend.growth(`${name} delivered`, edge.delivered) ?? 0,
  };
}

// The analysis lane makes nobody wait in live mode: it falls behind, and then leaves out.
function behind({ skipped, late, delivered }, edge, whom) {
  if (skipped > 0) return `${whom} too slow: ${grouped(Math.ceil(skipped))} ${edge.unit}/s left out`;
  const isOften = edge && (edge.verdict === "warning" || edge.verdict === "critical");
  return isOften && late > 0 ? `${whom} fall behind, ${percent(late, delivered)} came too early` : null;
}

function lane(sink, growth, rate) {
  if (sink.state === "stopped") return `${sink.name} has stopped; the journal keeps its events`;
  if (Number(sink.failing_ns) > 0) return `waits for ${sink.name}, away for ${duration(sink.failing_ns)}`;
  const isBehind = growth !== null && Number(sink.backlog) > rate && growth > Math.max(rate * BEHIND_SHARE_MIN, 1);
  return isBehind ? `${sink.name} falls behind by ${grouped(Math.ceil(growth))} events/s` : null;
}
