// How far aggregation has come, in words.

import { byId } from "./elements.js";
import { duration, timeOfDay } from "./words.js";

const STALE_SECONDS = 60;

/** Show as_of as of an answer; both on the server's clock, so that a wrong clock here does no harm. */
export function showFreshness({ asOf, answeredAt }) {
  const behind = asOf === null ? Infinity : (answeredAt - asOf) / 1000;
  const element = byId("freshness");
  element.hidden = false;
  element.classList.toggle("stale", behind > STALE_SECONDS);
  element.textContent =
    asOf === null ? "nothing is aggregated yet" : `as of ${timeOfDay(asOf)} UTC, ${duration(behind)} behind`;
}

/** The last refresh has failed: what is shown grows old. */
export function markUnrefreshed() {
  const element = byId("freshness");
  element.classList.add("stale");
  element.textContent = `${element.textContent.split(",")[0]}, not refreshed since`;
}

export function hideFreshness() {
  byId("freshness").hidden = true;
}
