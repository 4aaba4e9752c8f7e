// The first lines: how it stands, what is worst, what helps, and the figures that say it.

import { byId, figures, setAttribute, setField, setText } from "./dom.js";
import { bytes, clock, duration, grouped } from "./numbers.js";

const WORDS = { ok: "OK", warning: "WARNING", critical: "CRITICAL" };
const ICON_COLOURS = { ok: "%231a7340", warning: "%23c27c00", critical: "%23b3261e", none: "%23777" };

/// Shows the verdict of a document.
export function showVerdict(doc) {
  const { verdict, program, totals } = doc;
  setLevel(verdict.level, WORDS[verdict.level] ?? verdict.level);
  byId("simulated").hidden = !verdict.simulated;
  const worst = doc.findings[0];
  setText(byId("verdict-text"), plain(verdict, worst));
  showWorst(doc.findings);
  figures(byId("figures"), [
    { name: "symbols heard", path: "verdict.symbols_fresh", value: verdict.symbols_fresh, shown: `${grouped(verdict.symbols_fresh)} of ${grouped(verdict.symbols)}`, level: verdict.symbols_fresh < verdict.symbols ? "warning" : null },
    { name: "lost", path: "verdict.lost", value: verdict.lost, shown: grouped(verdict.lost), level: Number(verdict.lost) > 0 ? "critical" : null },
    { name: "durable to", path: "verdict.durable_seq", value: verdict.durable_seq, shown: grouped(verdict.durable_seq), title: "Highest sequence that survives a power cut" },
    { name: "lag", path: "verdict.lag_ns", value: verdict.lag_ns, shown: duration(verdict.lag_ns), title: "Age of the oldest event that some sink has not been given" },
    { name: "events a second", path: "totals.accepted_per_s", value: totals.accepted_per_s, shown: grouped(totals.accepted_per_s) },
    { name: "events", path: "totals.accepted", value: totals.accepted, shown: grouped(totals.accepted) },
    { name: "gaps", path: "totals.gaps", value: totals.gaps, shown: grouped(totals.gaps), level: Number(totals.gaps) > 0 ? "warning" : null },
    { name: "memory", path: "program.rss_bytes", value: program.rss_bytes, shown: bytes(program.rss_bytes) },
    { name: "up", path: "program.uptime_ns", value: program.uptime_ns, shown: duration(program.uptime_ns) },
  ]);
  setText(byId("program"), `${program.version}, pid ${program.pid}, start ${program.epoch}, ${program.data_dir}`);
  announce(worst ? `${WORDS[verdict.level]}: ${worst.who}: ${worst.rule}` : "OK: all is well");
}

// The recorder's line begins with the worst finding, which has a line of its own here.
function plain(verdict, worst) {
  const text = verdict.text.replace(/^SIMULATED /, "");
  return worst && text.includes(" | ") ? text.slice(text.lastIndexOf(" | ") + 3) : text;
}

function showWorst(findings) {
  const [worst] = findings;
  byId("worst").hidden = !worst;
  if (!worst) return;
  setText(byId("worst-what"), `${worst.who}: ${worst.text}`);
  setText(byId("worst-remedy"), `→ ${worst.remedy}`);
  setText(byId("worst-more"), findings.length > 1 ? `and ${findings.length - 1} more` : "all alerts");
}

/// Says that nothing has come since `at` (Unix ns of the last document, or null).
export function showNoAnswer(at, reason) {
  const since = at === null ? "" : ` since ${clock(at).slice(0, 8)} UTC`;
  setLevel("none", "NO ANSWER");
  setText(byId("verdict-text"), `no answer${since}: ${reason}. Trying again. ${at === null ? "" : "What stands below is what was known then."}`);
  byId("worst").hidden = true;
  announce(`no answer${since}`);
}

function setLevel(level, word) {
  setAttribute(byId("verdict"), "data-level", level);
  setField(byId("level"), level === "none" ? "" : "verdict.level", level, word);
  document.title = `${word} · feedd`;
  const colour = ICON_COLOURS[level] ?? ICON_COLOURS.none;
  setAttribute(byId("icon"), "href", `data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'><circle cx='4' cy='4' r='4' fill='${colour}'/></svg>`);
}

// Read aloud when it changes, and not each second with the numbers.
function announce(text) {
  setText(byId("announce"), text);
}
