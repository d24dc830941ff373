// Puts the page together: what is chosen → what is asked → what is shown. Asks again by itself.

import { showCards, startCards } from "./cards.js";
import { chartSentence, loadCharts, showChart } from "./chart.js";
import { ApiFailure, Client } from "./client.js";
import { downloadCsv } from "./download.js";
import { byId, make } from "./elements.js";
import { hideFreshness, markUnrefreshed, showFreshness } from "./freshness.js";
import { askForKey, hideKeyForm, startKeyForm } from "./key_form.js";
import { Memory } from "./memory.js";
import { RANGES, WIDTHS, usable, windowOf } from "./period.js";
import { prefillCustom, showSelection, startPickers } from "./pickers.js";
import { showErrors } from "./ranking.js";
import { METRICS, readSelection, stored, writeSelection } from "./state.js";
import { atOneMoment, compare, totalOf } from "./summary.js";
import { showTable } from "./table.js";
import { startTheme } from "./theme.js";
import { METRIC_WORDS, correctedSentence, counted, failureWords, span } from "./words.js";

const REFRESH_MS = 10_000;
const MANY_BUCKETS = 2_000; // beyond this the server is asked less often
const MANY_REFRESH_MS = 60_000;
const PATIENCE_MS = 500; // numbers go before the chart's script; while a server takes longer, there is time to run it
const COARSEST_FIRST = ["day", "hour", "minute"];
const KEY_FAILURES = ["UNAUTHORIZED", "FORBIDDEN"];

let selection = readSelection(location.hash);
let session = null; // {client, memory, granularities, skew}: what is known once a key has been accepted
let shown = null; // the answers on the page
let asking = new AbortController();
let timer = null;

// -- what is asked -------------------------------------------------------------------------------------------------

/** The server's clock: the windows that end "now" end with it. */
const now = () => Date.now() + session.skew;
const granularity = () => usable(selection.granularity, selection, session.granularities, now());

function parameters(metric, group, width, at) {
  const { from, to } = windowOf(selection, width, at);
  return {
    metric,
    granularity: width,
    from: new Date(from).toISOString(),
    to: new Date(to).toISOString(),
    group_by: group === "total" ? null : group,
    compare_to: "prior_period",
  };
}

/** Totals of all metrics, failures by code, and what is charted by group; together, so that one failure ends all.
    What is asked by group has its total in it, so a question more is needed only for failures by channel. */
async function ask(signal) {
  const { metric, group } = selection;
  const [width, at] = [granularity(), now()];
  const query = (name, by) => session.client.query(parameters(name, by, width, at), signal);
  const grouping = (name) => (name === "failed" ? "error_code" : name === metric ? group : "total");
  const questions = METRICS.map((name) => query(name, grouping(name)));
  if (group !== "total" && group !== grouping(metric)) questions.push(query(metric, group));
  const chosen = { ...selection, granularity: width };
  const answers = atOneMoment(await Promise.all(questions), WIDTHS[width]);
  const totals = Object.fromEntries(METRICS.map((name, i) => [name, totalOf(answers[i])]));
  const grouped = group === "total" ? null : (answers[METRICS.length] ?? answers[METRICS.indexOf(metric)]);
  const corrected = Object.fromEntries(METRICS.map((name) => [name, session.memory.corrected(name, totals[name])]));
  return { chosen, totals, corrected, errors: answers[METRICS.indexOf("failed")], grouped };
}

/** Ask for everything that is chosen, and show it. A newer question makes an older one void. */
async function refresh() {
  clearTimeout(timer);
  asking.abort();
  asking = new AbortController();
  const { signal } = asking;
  byId("dashboard").setAttribute("aria-busy", "true");
  try {
    const patience = setTimeout(loadCharts, PATIENCE_MS);
    const found = await ask(signal).finally(() => clearTimeout(patience));
    if (signal.aborted) return;
    shown = found;
    noteHead(shown.totals.sent);
    clearNotice();
    show();
  } catch (error) {
    if (error.name === "AbortError" || signal.aborted) return;
    fail(error);
  }
  byId("dashboard").removeAttribute("aria-busy");
  schedule();
}

function schedule() {
  clearTimeout(timer);
  if (!session || document.hidden) return;
  const isMany = shown && shown.totals.sent.buckets.length > MANY_BUCKETS;
  timer = setTimeout(refresh, isMany ? MANY_REFRESH_MS : REFRESH_MS);
}

function noteHead({ answeredAt, granularities }) {
  session.skew = answeredAt - Date.now();
  session.granularities = granularities;
}

// -- what is shown -------------------------------------------------------------------------------------------------

function show() {
  const { chosen, totals, corrected, errors, grouped } = shown;
  const { metric, group, granularity: width } = chosen;
  const total = totals[metric];
  const content = { answer: grouped ?? total, total, corrected: corrected[metric], metric, group, granularity: width };
  showSelection(selection, granularity(), session.granularities, now());
  showFreshness(totals.sent);
  showCards(totals, metric);
  showErrors(errors);
  byId("chart-title").textContent = titleOf(metric, group, width);
  byId("chart-caption").textContent = captionOf(total, chosen.range) + chartSentence(content) + correctedSentence(content);
  showView(content);
}

function showView(content) {
  const isTable = selection.view === "table";
  byId("table-frame").hidden = !isTable;
  byId("plot-frame").hidden = byId("legend").hidden = isTable;
  if (isTable) showTable(content);
  else showChart(content);
}

function titleOf(metric, group, width) {
  const by = { total: "", channel: " and channel", error_code: " and error code" }[group];
  return `${METRIC_WORDS[metric].title} by ${width}${by}`;
}

function captionOf(total, range) {
  const { completed, buckets } = compare(total);
  const words = range === "custom" ? "" : `${RANGES[range].words}: `;
  const period = `${words}${span(total.from, total.to, total.granularity)}`;
  return `${period[0].toUpperCase()}${period.slice(1)}. ${completed.toLocaleString("en")} of ${counted(buckets, total.granularity)} complete.`;
}

// -- what goes wrong -----------------------------------------------------------------------------------------------

function fail(error) {
  const failure = error instanceof ApiFailure ? error : new ApiFailure({ code: "PAGE", message: error.message });
  if (!(error instanceof ApiFailure)) console.error(error);
  if (KEY_FAILURES.includes(failure.code)) {
    leave(failure);
    return;
  }
  const finest = failure.details?.max_granularity;
  if (finest && session.granularities.at(-1) !== finest) {
    session.granularities = COARSEST_FIRST.slice(0, COARSEST_FIRST.indexOf(finest) + 1); // the plan has changed meanwhile
    refresh();
    return;
  }
  notice(failure);
}

function notice(failure) {
  const id = failure.requestId ? make("span", { class: "request-id" }, "request id ", make("code", {}, failure.requestId)) : "";
  const stale = shown ? " The numbers below are from before." : "";
  const text = make("span", {}, failureWords(failure) + stale);
  const again = make("button", { type: "button", class: "quiet" }, "Try now");
  again.addEventListener("click", refresh);
  byId("notice").replaceChildren(make("div", { class: "notice bad" }, text, id, again));
  byId("dashboard").classList.toggle("outdated", Boolean(shown));
  if (shown) markUnrefreshed();
}

function clearNotice() {
  byId("notice").replaceChildren();
  byId("dashboard").classList.remove("outdated");
}

// -- coming and going ----------------------------------------------------------------------------------------------

/** Begin with a key that was entered: its first answer says whether it is good, and what its plan has. */
async function enter(key) {
  const client = new Client(key);
  try {
    const { answeredAt, granularities } = await client.first({ metric: "sent" });
    stored.keep(key, granularities);
    byId("content").focus(); // the form, and with it the focus, goes away
    await begin(client, granularities, answeredAt - Date.now());
  } catch (error) {
    // A key that could not be tried is no bad key: it stays in the field, to be tried again.
    const isRefused = KEY_FAILURES.includes(error.code);
    if (isRefused) stored.forget();
    askForKey(error instanceof ApiFailure ? sentenceWithId(error) : error.message, isRefused ? "" : key);
  }
}

async function begin(client, granularities, skew) {
  session = { client, memory: new Memory(), granularities, skew };
  hideKeyForm();
  // A plan with days only has little to show of one day.
  if (!location.hash && granularities.length === 1) selection = { ...selection, range: "30d" };
  byId("dashboard").hidden = byId("forget").hidden = false;
  showSelection(selection, granularity(), granularities, now());
  await refresh();
}

/** A reload goes on where the tab was. */
function start() {
  const found = stored.read();
  if (found?.granularities) return begin(new Client(found.key), found.granularities, 0);
  loadCharts();
  return found ? enter(found.key) : askForKey();
}

/** Forget the key and everything that it has shown. */
function leave(failure = null) {
  stored.forget();
  clearTimeout(timer);
  asking.abort();
  session = shown = null;
  clearNotice();
  hideFreshness();
  byId("dashboard").hidden = byId("forget").hidden = true;
  for (const id of ["legend", "errors", "table-frame"]) byId(id).replaceChildren();
  window.Plotly?.purge(byId("plot"));
  askForKey(failure ? sentenceWithId(failure) : "");
}

function sentenceWithId(failure) {
  return failureWords(failure) + (failure.requestId ? ` (request id ${failure.requestId})` : "");
}

function choose(part) {
  const before = granularity();
  if (part.range === "custom" && !(part.from < part.to)) {
    prefillCustom(windowOf(selection, before, now()));
    const { from, to } = windowOf(selection, before, now());
    part = { range: "custom", from, to };
  }
  selection = { ...selection, ...part };
  history.replaceState(null, "", writeSelection(selection));
  if ("view" in part) {
    if (shown) show();
    return;
  }
  showSelection(selection, granularity(), session.granularities, now());
  refresh();
}

function download() {
  downloadCsv(session.client, parameters(selection.metric, selection.group, granularity(), now())).catch(fail);
}

startTheme(() => shown && show());
startPickers(choose);
startCards(choose);
startKeyForm(enter);
byId("forget").addEventListener("click", () => leave());
byId("download").addEventListener("click", download);
document.addEventListener("visibilitychange", () => session && (document.hidden ? clearTimeout(timer) : refresh()));
start();
