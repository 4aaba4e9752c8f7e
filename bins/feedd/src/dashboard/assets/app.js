// The dashboard: a stream of status documents, each shown whole. Nothing here can change the recorder.

import { setUpAnalysis, showAnalysis } from "./analysis.js";
import { showAlerts } from "./alerts.js";
import { extendCharts, fillCharts, recolourCharts, setUpCharts } from "./charts.js";
import { Connection } from "./connection.js";
import { byId, setAttribute, setText } from "./dom.js";
import { showFlow } from "./flow.js";
import { extendLatency, latencyFigure, recolourLatency } from "./latency.js";
import { setUpLedger, showLedger } from "./ledger.js";
import { setUpLog, showLog, showSettings } from "./log.js";
import { showSinks } from "./sinks.js";
import { setUpTables, showTables } from "./tables.js";
import { setUpTheme } from "./theme.js";
import { askToken } from "./token.js";
import { Trend } from "./trend.js";
import { showNoAnswer, showVerdict } from "./verdict.js";

const trend = new Trend();
let run = null;
let last = null;

function onDocument(doc) {
  const now = `${doc.program.pid} ${doc.program.started_at}`;
  // Another run counts from zero.
  if (run !== now) trend.clear();
  run = now;
  trend.look(doc.program.uptime_ns);
  setAttribute(byId("link"), "data-state", "live");
  setText(byId("link"), "live");
  showVerdict(doc);
  showFlow(doc, trend);
  extendCharts(doc, growthNow(doc));
  extendLatency(doc);
  showTables(doc, trend);
  showSinks(doc);
  showLedger(doc);
  showAlerts(doc);
  showAnalysis(doc);
  showLog(doc);
  showSettings(doc);
  last = doc;
  // What is shown now, for whoever checks the page against the recorder.
  setAttribute(document.documentElement, "data-at", doc.at);
}

// Since the last document, so that the chart shows bursts that a mean over seconds would hide.
function growthNow(doc) {
  if (last === null || last.program.started_at !== doc.program.started_at) return null;
  const seconds = (Number(doc.program.uptime_ns) - Number(last.program.uptime_ns)) / 1e9;
  return seconds > 0 ? (Number(doc.totals.accepted) - Number(last.totals.accepted)) / seconds : null;
}

function onLost(reason) {
  setAttribute(byId("link"), "data-state", "lost");
  setText(byId("link"), "no answer");
  showNoAnswer(last?.at ?? null, reason);
}

setUpTheme(() => {
  recolourCharts();
  recolourLatency();
});
setUpCharts(latencyFigure);
setUpTables();
setUpLedger();
setUpAnalysis();
setUpLog();
new Connection({ onDocument, onLost, onHistory: fillCharts, askToken }).run();
