// A card for each sink: whether it stores, how far behind it is, and what it said when it failed.

import { byId, el, figures, keyed, setAttribute, setText } from "./dom.js";
import { sinkLevel } from "./flow.js";
import { duration, grouped } from "./numbers.js";

/// Shows the sinks of a document.
export function showSinks(doc) {
  const make = () => el("article", { class: "card sink" }, el("h3"), el("p", { class: "state" }), el("dl", { class: "figures small" }), el("p", { class: "error" }));
  keyed(byId("sinks"), doc.sinks, (sink, index) => `${index} ${sink.name}`, make, (card, sink, index) => {
    const [name, state, list, error] = card.children;
    setText(name, sink.name);
    setAttribute(card, "data-level", sinkLevel(sink));
    setText(state, stateOf(sink));
    figures(list, numbers(sink, `sinks.${index}`));
    error.hidden = sink.last_error === "";
    setText(error, sink.last_error === "" ? "" : `${Number(sink.failing_ns) > 0 ? "It says" : "It last failed with"}: ${sink.last_error}`);
  });
}

function stateOf(sink) {
  const kind = sink.required ? "required: sources wait for it when the journal is full" : "not required";
  if (Number(sink.failing_ns) === 0) return `breaker ${sink.state} · ${kind}`;
  const next = Number(sink.next_attempt_ns) > 0 ? `next attempt in ${duration(sink.next_attempt_ns)}` : "an attempt runs";
  return `breaker ${sink.state} · away for ${duration(sink.failing_ns)} · ${next} · ${kind}`;
}

function numbers(sink, path) {
  const number = (name, key, shown = grouped, level = null) => ({
    name,
    path: `${path}.${key}`,
    value: sink[key],
    shown: shown(sink[key]),
    level: Number(sink[key]) > 0 ? level : null,
  });
  return [
    number("stored", "stored"),
    number("stored to", "stored_seq"),
    number("backlog", "backlog"),
    number("lag", "lag_ns", duration),
    number("in open batch", "buffered"),
    number("batches", "batches"),
    number("retries", "retries"),
    number("quarantined", "quarantined", grouped, "warning"),
    number("missed", "missed", grouped, "critical"),
  ];
}
