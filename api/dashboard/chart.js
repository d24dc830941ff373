// The time chart: hands traces to plotly, and tells in words what it shows.

import { byId, colour, make } from "./elements.js";
import { compare, hasCredits, isEmpty, pendingRuns } from "./summary.js";
import { layoutOf, seriesOf, tracesOf } from "./traces.js";
import { METRIC_WORDS, sumsSentence } from "./words.js";

const CONFIG = { displayModeBar: false, displaylogo: false, responsive: true, doubleClick: "reset", showTips: false };
const NARROW_PIXELS = 600;

let arriving = null;

/** Run plotly's script, once. The page has fetched it beforehand, but running it keeps the page from doing anything else
    for a good part of a second, on a phone for seconds: what is there to be seen is painted first. */
export function loadCharts() {
  arriving ??= painted().then(runScript);
  arriving.catch(() => {}); // told to the user when there is something to draw
  return arriving;
}

function painted() {
  if (document.hidden) return Promise.resolve(); // nothing is painted, and there is time
  return new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
}

function runScript() {
  return new Promise((resolve, reject) => {
    const script = make("script", { src: byId("plotly-script").href });
    script.addEventListener("load", () => resolve(window.Plotly));
    script.addEventListener("error", () => reject(new Error("its script could not be loaded")));
    document.head.append(script);
  });
}

/** Draw what is shown. The table has all numbers as well, so a missing script takes away the picture only. */
export async function showChart(shown) {
  const palette = readPalette(shown.metric);
  showLegend(shown, palette);
  showEmpty(shown);
  const fine = matchMedia("(hover: hover) and (pointer: fine)").matches;
  const narrow = byId("plot").clientWidth < NARROW_PIXELS;
  try {
    const plotly = await loadCharts();
    if (!byId("plot").data) await painted(); // the first drawing takes longest; the numbers need not wait for it
    if (byId("dashboard").hidden) return; // the key was forgotten meanwhile
    await plotly.react(byId("plot"), tracesOf(shown, palette), layoutOf(shown, palette, { fine, narrow }), CONFIG);
  } catch (error) {
    byId("chart-empty").hidden = false;
    byId("chart-empty").textContent = `The chart can't be drawn (${error.message}); the table has its numbers.`;
  }
}

function readPalette(metric) {
  const font = getComputedStyle(document.body).fontFamily;
  const named = (names) => Object.fromEntries(names.map((name) => [name, colour(name)]));
  return {
    font,
    ...named(["ink", "muted", "line", "surface", "prior", "pending"]),
    pendingGround: colour("pending-ground"),
    [metric]: colour(`metric-${metric.replace("_cents", "")}`),
    series: [1, 2, 3, 4, 5, 6, 7, 8].map((n) => colour(`series-${n}`)),
  };
}

/** A legend of our own: plotly's can't be reached by keyboard, and takes the chart's room. */
function showLegend(shown, palette) {
  const entries = seriesOf(shown, palette).map(({ name, colour: tint }) => entry(name, "swatch", tint));
  entries.push(entry("prior period", "swatch dotted", palette.prior));
  if (shown.corrected.size) entries.push(entry("corrected", "swatch ring"));
  if (pendingRuns(shown.total.buckets).length) entries.push(entry("pending", "swatch hatched"));
  byId("legend").replaceChildren(...entries);
}

function entry(name, shape, tint) {
  const swatch = make("span", { class: shape, "aria-hidden": "true" });
  if (tint) swatch.style.color = tint;
  return make("span", { class: "legend-entry" }, swatch, name);
}

function showEmpty({ answer, metric }) {
  const { completed } = compare(answer);
  const none = METRIC_WORDS[metric].none;
  byId("chart-empty").hidden = !isEmpty(answer);
  byId("chart-empty").textContent = completed
    ? `In the complete buckets of this range and the one before, ${none}.`
    : "No bucket of this range is complete yet. The numbers appear by themselves.";
}

/** The chart in a sentence, for those who don't see it. */
export function chartSentence({ answer, total, metric }) {
  const { now, before, completed } = compare(total);
  return completed ? ` ${sumsSentence(metric, now, before, hasCredits(answer))}` : "";
}
