// Asks the worker how things stand, every two seconds, and shows it.

import { showAge } from "/page/age_chart.js";
import { clock, count, duration, fill, fillTable, make, moment, visible } from "/page/format.js";
import { Rates } from "/page/rates.js";

const REFRESH_MS = 2000;
const rates = new Rates();

let told = "";

function showState({ ready, reasons, problem }) {
  const sentences = problem ? [...reasons, problem] : reasons;
  if (told === [ready, ...sentences].join()) return; // who has it read aloud is told of changes only
  told = [ready, ...sentences].join();
  const title = make("p", { class: ready ? "verdict good" : "verdict bad" }, ready ? "Ready" : "Not ready");
  fill("state", title, make("ul", {}, ...sentences.map((text) => make("li", {}, text))));
}

function showTiles({ as_of, as_of_age, process, stored }) {
  const lag = stored?.partitions.reduce((total, partition) => total + (partition.lag ?? 0), 0) ?? null;
  fill(
    "tiles",
    tile("as of", as_of ? clock(as_of) : "not set", as_of ? `${duration(as_of_age)} behind` : "nothing is aggregated yet"),
    tile("events per second", count(rates.of((p) => p.events)), `${count(process.events)} since the start`),
    tile("records behind", count(lag), "over all partitions"),
    tile("dead letters", count(process.dead_letters), "by this process since its start"),
    tile("pending recomputes", count(process.pending_recomputes), `${count(process.recomputed)} done`),
    tile("sink retries", count(process.retries), "since the start"),
  );
}

function tile(title, value, note) {
  const parts = { title, value, note };
  return make("div", { class: "tile" }, ...Object.keys(parts).map((name) => make("span", { class: name }, parts[name])));
}

function showStages({ stage_seconds }) {
  const stages = Object.keys(stage_seconds).map((name) => [name, rates.of((process) => process.stage_seconds[name] ?? 0)]);
  fill("stages", ...stages.map(([name, busy]) => {
    const bar = make("span", { class: "fill" });
    bar.style.inlineSize = `${Math.min(busy, 1) * 100}%`;
    const track = make("span", { class: "track", "aria-hidden": "true" }, bar);
    return make("li", {}, make("span", {}, name), track, make("span", { class: "number" }, `${(busy * 100).toFixed(1)} %`));
  }));
}

function showPartitions({ partitions }) {
  const heads = ["Topic", "Partition", "Next offset", "Log end", "Lag", "Watermark", "Status", "Owner"];
  const rows = partitions.map((p) => [
    p.topic, String(p.partition), count(p.next_offset), count(p.log_end_offset), count(p.lag), moment(p.watermark),
    p.status, p.owner,
  ]);
  fillTable("partitions", heads, rows, heads.slice(1, 5), "No partition has been read yet.");
}

function showMonths({ months }) {
  const heads = ["Month", "State", "Stated", "Not stated", "Differing"];
  const rows = months.map((m) => [m.period, monthState(m), count(m.stated), count(m.open), count(m.differing)]);
  fillTable("months", heads, rows, heads.slice(2), "No month has numbers yet.");
}

function monthState({ has_ended, stated, differing }) {
  if (!has_ended) return "under way";
  if (!stated) return "open";
  return differing ? "stated, differs" : "stated";
}

function showLetters({ dead_letter_reasons, dead_letters }) {
  const reasons = dead_letter_reasons.map(({ reason, count: n, newest }) =>
    make("li", {}, make("strong", {}, `${count(n)} `), `${reason}, newest at ${moment(newest)}`));
  fill("reasons", ...reasons);
  const heads = ["Seen", "Place", "Reason", "What is wrong, and how the record begins", "Organization", "Bytes"];
  const rows = dead_letters.map((x) => [
    moment(x.seen_at), `${x.topic}/${x.partition}/${x.offset}`, x.reason, letter(x), visible(x.org_id) || "unknown", count(x.size),
  ]);
  fillTable("letters", heads, rows, ["Bytes"], "None.");
}

function letter({ detail, excerpt, size }) {
  const rest = size > new TextEncoder().encode(excerpt).length ? " …" : "";
  return make("div", { class: "letter" }, visible(detail), make("code", {}, visible(excerpt) + rest));
}

function showClosings({ closings }) {
  const heads = ["Closed at", "From", "To", "Took", "Generation", "Worker"];
  const rows = closings.map((c) => [
    moment(c.closed_at), moment(c.closed_from), moment(c.closed_to), duration(c.duration), count(c.generation), c.worker,
  ]);
  fillTable("closings", heads, rows, ["Took", "Generation"], "Nothing has been closed yet.");
}

function show(found) {
  rates.note(found.process);
  document.getElementById("worker").textContent = found.worker;
  showState(found);
  showTiles(found);
  showStages(found.process);
  showAge(found.history, found.now);
  document.getElementById("age-caption").textContent =
    found.history.length ? `As seen by this worker since ${clock(found.history[0][0])}` : "No samples yet";
  if (found.stored) {
    showPartitions(found.stored);
    showMonths(found.stored);
    showLetters(found.stored);
    showClosings(found.stored);
  }
}

async function refresh() {
  const updated = document.getElementById("updated");
  try {
    const response = await fetch("/operations.json", { cache: "no-store" });
    const found = await response.json();
    show(found);
    updated.textContent = `updated ${clock(found.now)} UTC`;
    updated.classList.remove("bad");
  } catch {
    updated.textContent = "the worker does not answer; what is shown is from before";
    updated.classList.add("bad");
  }
  setTimeout(refresh, REFRESH_MS);
}

refresh();
