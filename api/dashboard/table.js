// The same numbers as a table, newest first, a stretch at a time: ten thousand rows at once would freeze a phone.

import { make, byId } from "./elements.js";
import { seriesByKey, valueOf } from "./summary.js";
import { METRIC_WORDS, amount, beforeWords, bucketName, groupName } from "./words.js";

const STRETCH = 200;

/** Show an answer: with its prior period, or by group where it is grouped. */
export function showTable({ answer, total, corrected, metric, group, granularity }) {
  const columns = group === "total" ? plainColumns(total, metric) : groupColumns(answer, metric, group);
  const body = make("tbody");
  const more = make("button", { type: "button", class: "quiet more" });
  let next = answer.buckets.length - 1;

  function extend() {
    const last = Math.max(-1, next - STRETCH);
    for (; next > last; next -= 1) {
      const { start } = answer.buckets[next];
      body.append(row(start, next, columns, metric, granularity, corrected.get(start)));
    }
    more.hidden = next < 0;
    more.textContent = `Show ${Math.min(STRETCH, next + 1)} more of ${next + 1}`;
  }

  more.addEventListener("click", extend);
  extend();
  const caption = make("caption", { class: "visually-hidden" }, `${METRIC_WORDS[metric].title}, newest first`);
  const heads = ["Start (UTC)", ...columns.map((column) => column.title)].map((text) => make("th", { scope: "col" }, text));
  const table = make("table", {}, caption, make("thead", {}, make("tr", {}, ...heads)), body);
  byId("table-frame").replaceChildren(table, more);
}

function plainColumns(total, metric) {
  return [
    { title: METRIC_WORDS[metric].title, values: total.buckets.map(valueOf) },
    { title: "Prior period", values: total.prior.map(valueOf) },
  ];
}

function groupColumns(answer, metric, group) {
  const groups = seriesByKey(answer).map(({ key, values }) => ({ title: groupName(key, group), values }));
  return [{ title: METRIC_WORDS[metric].title, values: answer.buckets.map(valueOf) }, ...groups];
}

function row(start, index, columns, metric, granularity, correction) {
  const cells = columns.map(({ values }) => cell(values[index], metric));
  if (correction) cells[0].append(make("span", { class: "corrected" }, beforeWords(metric, correction)));
  return make("tr", {}, make("th", { scope: "row" }, bucketName(start, granularity)), ...cells);
}

function cell(value, metric) {
  return value === null ? make("td", { class: "pending" }, "pending") : make("td", {}, amount(metric, value));
}
