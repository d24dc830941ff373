// The ranked list of error codes.

import { byId, make } from "./elements.js";
import { format } from "./decimal.js";
import { change, ranking } from "./summary.js";
import { changeWords, groupName } from "./words.js";

const SHOWN = 10;

/** Show the failures of an answer that is grouped by error code. */
export function showErrors(answer) {
  const ranked = ranking(answer);
  byId("errors").replaceChildren(...ranked.slice(0, SHOWN).map(line));
  const isPending = answer.buckets.every((bucket) => bucket.groups === null);
  byId("errors-caption").textContent = isPending ? "No bucket of this range is complete yet." : caption(ranked.length);
}

function caption(count) {
  if (!count) return "Nothing failed in the complete buckets of this range.";
  return count > SHOWN ? `The ${SHOWN} most frequent of ${count}` : "Most frequent first";
}

function line({ key, value, before, share }) {
  const difference = change(value, before);
  const { sign, text } = changeWords("failed", difference);
  const words = difference.kind === "from-zero" ? "new in this period" : text;
  return make(
    "li",
    { "data-key": key ?? "" },
    make("span", { class: "rank-name" }, groupName(key, "error_code")),
    make("span", { class: "rank-value" }, format(value)),
    ...(share === null ? [] : shareParts(share)),
    make("span", { class: `change ${{ 1: "bad", "-1": "good" }[sign] ?? "neutral"}` }, words),
  );
}

function shareParts(share) {
  const bar = make("span", { class: "rank-fill" });
  bar.style.inlineSize = `${Math.max(share * 100, 0.5)}%`;
  return [
    make("span", { class: "rank-bar", "aria-hidden": "true" }, bar),
    make("span", { class: "rank-share" }, `${(share * 100).toFixed(1)} %`),
  ];
}
