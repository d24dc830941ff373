// The cards: totals of the range and their change against the prior period; each also chooses what the chart shows.

import { make, byId } from "./elements.js";
import { ratio } from "./decimal.js";
import { change, compare } from "./summary.js";
import { GOODNESS, METRIC_WORDS, amount, changeWords } from "./words.js";
import { METRICS } from "./state.js";

const LONG = 11; // characters that fit a card in its largest type

/** Builds the cards once; `choose` gets a metric. */
export function startCards(choose) {
  const cards = METRICS.map((metric) => {
    const card = make("button", { type: "button", class: "card", id: `card-${metric}` });
    card.addEventListener("click", () => choose({ metric }));
    return card;
  });
  byId("cards").append(...cards, make("div", { class: "card rate", id: "card-rate" }));
  for (const card of byId("cards").children) card.append(make("span", { class: "skeleton" }));
}

/** Show totals: {metric: answer}, all over the same window. */
export function showCards(totals, selected) {
  for (const metric of METRICS) {
    byId(`card-${metric}`).setAttribute("aria-pressed", String(metric === selected));
    byId(`card-${metric}`).replaceChildren(...cardParts(metric, compare(totals[metric])));
  }
  byId("card-rate").replaceChildren(...rateParts(compare(totals.delivered), compare(totals.sent)));
}

function cardParts(metric, comparison) {
  const title = make("span", { class: "card-title" }, METRIC_WORDS[metric].title);
  if (!comparison.completed) return [title, ...pendingParts()];
  const { now, before } = comparison;
  const { sign, text: words } = changeWords(metric, change(now, before));
  const text = amount(metric, now);
  const value = make("span", { class: text.length > LONG ? "card-value long" : "card-value" }, text);
  const difference = make("span", { class: `change ${tone(metric, sign)}` }, words);
  // From nothing there is no percentage, and the words have said so already.
  if (before === 0n) return [title, value, difference];
  return [title, value, difference, make("span", { class: "card-before" }, `${amount(metric, before)} in the prior period`)];
}

function tone(metric, sign) {
  return { 1: "good", "-1": "bad" }[sign * GOODNESS[metric]] ?? "neutral";
}

function pendingParts() {
  return [
    make("span", { class: "card-value" }, "–"),
    make("span", { class: "change neutral" }, "no bucket of this range is complete yet"),
  ];
}

/** Delivered of sent. An event counts in the bucket of its own time, so that a rate may exceed 100 %. */
function rateParts(delivered, sent) {
  const title = make("span", { class: "card-title" }, "Delivery rate");
  if (!sent.completed) return [title, ...pendingParts()];
  const now = ratio(delivered.now, sent.now);
  const before = ratio(delivered.before, sent.before);
  if (now === null) {
    return [title, make("span", { class: "card-value" }, "–"), make("span", { class: "change neutral" }, "nothing was sent")];
  }
  const meter = make("meter", { min: 0, max: 1, value: Math.min(now, 1), "aria-label": "Delivery rate" });
  const value = make("span", { class: "card-value" }, `${(now * 100).toFixed(1)} %`);
  return [title, value, meter, rateChange(now, before)];
}

function rateChange(now, before) {
  if (before === null) return make("span", { class: "change neutral" }, "nothing was sent in the prior period");
  const points = Math.round((now - before) * 1000) / 10;
  if (points === 0) return make("span", { class: "change neutral" }, "the same as before");
  const words = points > 0 ? `▲ ${points.toFixed(1)} points higher` : `▼ ${(-points).toFixed(1)} points lower`;
  return make("span", { class: `change ${points > 0 ? "good" : "bad"}` }, words);
}
