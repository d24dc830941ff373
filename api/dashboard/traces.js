// What plotly draws, as plain values. Pure but for the palette that is passed in.

import { toNumber } from "./decimal.js";
import { WIDTHS } from "./period.js";
import { hasCredits, pendingRuns, seriesByKey, valueOf } from "./summary.js";
import { beforeWords, groupName } from "./words.js";

const MOST_BARS = 200;
const SERIES_COLOURS = 8;
const HOVER_TIME = { minute: "%a %-d %b, %H:%M UTC", hour: "%a %-d %b, %H:%M UTC", day: "%a %-d %b %Y" };
/** How an axis names its ticks by their distance in milliseconds; the second line shows where it changes. */
const TICKS = [
  { dtickrange: [null, 82_800_000], value: "%H:%M\n%-d %b" },
  { dtickrange: [82_800_000, "M1"], value: "%-d %b\n%Y" },
  { dtickrange: ["M1", null], value: "%b\n%Y" },
];

/** plotly takes a number for an instant in the browser's zone, and a text without a zone as it stands: UTC. */
const utc = (instant) => new Date(instant).toISOString().slice(0, 19);

/** The series of an answer with their colours: [{name, colour, values}]; values are numbers, null where pending. */
export function seriesOf({ answer, total, metric, group }, palette) {
  const named = group === "total" ? [{ key: metric, values: total.buckets.map(valueOf) }] : seriesByKey(answer);
  return named.map(({ key, values }, i) => ({
    name: group === "total" ? "this period" : groupName(key, group),
    colour: group === "total" ? palette[metric] : palette.series[i % SERIES_COLOURS],
    values: values.map((value) => (value === null ? null : toNumber(value))),
  }));
}

/** All traces: series as stacked bars, or as areas where bars would be hairs; the prior period; what is pending. What is
    below zero is stacked downwards, so that the picture never hides a credit behind a cost. */
export function tracesOf(shown, palette) {
  const series = seriesOf(shown, palette);
  const at = shown.total.buckets.map((bucket) => utc(bucket.start));
  const isFew = at.length <= MOST_BARS;
  const draw = isFew ? bars : areas;
  const unit = shown.metric === "cost_cents" ? " ¢" : "";
  const format = (number) => `%{${number}:,.6~f}${unit}`;
  const now = series.flatMap((one) => draw(one, at, shown.granularity, format));
  const prior = priorLine(shown.total, at, format("y"), palette);
  const corrected = correctedMarks(shown, at, palette);
  const pending = pendingBars(shown.total.buckets, shown.granularity, palette);
  // The last one is on top: a line over bars can be read, one over thousands of points would hide them.
  return [...(isFew ? [...now, prior] : [prior, ...now]), ...corrected, ...pending];
}

function bars({ name, colour, values }, at, granularity, format) {
  const marker = { color: colour };
  return [{ type: "bar", name, x: at, y: values, marker, hovertemplate: format("y"), ...placed(granularity) }];
}

/** An area in one stack; where a series has both signs, one above zero and one below it: a single stack would add them
    up. The first of the two tells the number under the pointer. */
function areas({ name, colour, values }, at, granularity, format) {
  // A stack would take null for zero; pending buckets are the last ones, so the area ends where they begin.
  const known = values.includes(null) ? values.indexOf(null) : values.length;
  const seen = values.slice(0, known);
  const area = (stackgroup, y, hover) => ({
    type: "scatter",
    mode: "lines",
    stackgroup,
    name,
    x: at.slice(0, known),
    y,
    line: { color: colour, width: 0.75 },
    ...hover,
    ...placed(granularity),
  });
  const told = { hovertemplate: format("y") };
  if (seen.every((value) => value >= 0)) return [area("now", seen, told)];
  if (seen.every((value) => value <= 0)) return [area("credits", seen, told)];
  return [
    area("now", seen.map((value) => Math.max(value, 0)), { customdata: seen, hovertemplate: format("customdata") }),
    area("credits", seen.map((value) => Math.min(value, 0)), { hoverinfo: "skip" }),
  ];
}

function priorLine(total, at, format, palette) {
  const y = total.prior.map(valueOf).map((value) => (value === null ? null : toNumber(value)));
  const isFew = at.length <= MOST_BARS;
  const line = { color: palette.prior, width: isFew ? 1.75 : 1, dash: isFew ? "dot" : "solid" };
  const isLone = at.length === 1;
  return {
    type: "scatter",
    mode: isLone ? "markers" : "lines",
    name: "prior period",
    x: at,
    y,
    line,
    marker: { color: palette.prior, symbol: "diamond", size: 9 },
    connectgaps: false,
    hovertemplate: format,
    ...placed(total.granularity),
  };
}

/** A mark at the number of each bucket that was corrected, which tells what it was. */
function correctedMarks({ total, corrected, metric }, at, palette) {
  const marked = total.buckets.map((bucket, i) => ({ ...bucket, at: at[i], correction: corrected.get(bucket.start) }));
  const found = marked.filter(({ correction }) => correction);
  if (!found.length) return [];
  const trace = {
    type: "scatter",
    mode: "markers",
    name: "corrected",
    x: found.map((bucket) => bucket.at),
    y: found.map((bucket) => toNumber(valueOf(bucket))),
    text: found.map(({ correction }) => beforeWords(metric, correction)),
    marker: { color: palette.ink, symbol: "circle-open", size: 9, line: { width: 2 } },
    hovertemplate: "%{text}",
    ...placed(total.granularity),
  };
  return [trace];
}

/** A value stands for its whole bucket, so it is drawn in the middle and named by its start. */
function placed(granularity) {
  return { xperiod: WIDTHS[granularity], xperiodalignment: "middle", xhoverformat: HOVER_TIME[granularity] };
}

/** One hatched bar over the full height per run of pending buckets, on an axis of its own: it is no quantity. */
function pendingBars(buckets, granularity, palette) {
  const width = WIDTHS[granularity];
  return pendingRuns(buckets).map(([first, last]) => ({
    type: "bar",
    name: "pending",
    x: [utc(buckets[first].start)],
    y: [1],
    base: [0],
    offset: 0,
    width: buckets[last].start - buckets[first].start + width,
    yaxis: "y2",
    marker: {
      color: palette.pendingGround,
      line: { width: 0 },
      pattern: { shape: "/", size: 8, solidity: 0.25, fgcolor: palette.pending, bgcolor: palette.pendingGround, fillmode: "replace" },
    },
    hovertemplate: "pending: not complete yet<extra></extra>",
  }));
}

/** Axes and surroundings. `fine` is whether there is a pointer that can drag without scrolling the page. */
export function layoutOf(shown, palette, { fine, narrow }) {
  const { from, to } = shown.total;
  const totals = [...shown.total.buckets, ...shown.total.prior].map((bucket) => toNumber(valueOf(bucket) ?? 0n));
  const drawn = [...seriesOf(shown, palette).flatMap((series) => series.values), ...totals];
  const largest = drawn.reduce((most, value) => Math.max(most, Math.abs(value)), 0); // null is 0 there
  const text = { family: palette.font, size: 12, color: palette.muted };
  const quiet = { fixedrange: true, zeroline: false, tickfont: text, automargin: true };
  return {
    barmode: "relative", // stacked, and what is below zero downwards
    bargap: 0.18,
    barcornerradius: 3,
    dragmode: fine ? "zoom" : false,
    hovermode: "x unified",
    hoverlabel: { bgcolor: palette.surface, bordercolor: palette.line, font: { ...text, color: palette.ink } },
    showlegend: false,
    margin: { l: 8, r: 8, t: 8, b: 8 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: text,
    // Zoom and hover survive a refresh of the same question, and end with it.
    uirevision: [from, to, shown.metric, shown.group, shown.granularity].join(),
    xaxis: {
      ...quiet,
      type: "date",
      range: [utc(from), utc(to)],
      fixedrange: !fine,
      showgrid: false,
      linecolor: palette.line,
      tickcolor: palette.line,
      ticks: "outside",
      nticks: narrow ? 5 : 10,
      tickformatstops: TICKS,
    },
    yaxis: {
      ...quiet,
      overlaying: "y2",
      tickmode: "auto",
      gridcolor: palette.line,
      rangemode: "tozero",
      tickformat: largest >= 10_000 ? "~s" : ",~f",
      nticks: 6,
      ...(hasCredits(shown.answer) ? { zeroline: true, zerolinecolor: palette.muted, zerolinewidth: 1 } : {}),
      ...(largest < 5 && shown.metric !== "cost_cents" ? { dtick: 1, range: [0, Math.max(largest * 1.1, 1)] } : {}),
    },
    yaxis2: { range: [0, 1], visible: false, fixedrange: true },
  };
}
