// What is chosen on the page. It is kept behind the # of the address, so that a view can be bookmarked and sent; the key
// is kept apart, in this tab's session storage, and never becomes part of an address.

import { RANGES, WIDTHS } from "./period.js";

const KEY_SLOT = "message-metrics-key";
const PLAN_SLOT = "message-metrics-plan";

export const METRICS = ["sent", "delivered", "failed", "cost_cents"];
export const GROUPS = { total: "Total", channel: "Channel", error_code: "Error code" };
export const VIEWS = { chart: "Chart", table: "Table" };

const DEFAULTS = { range: "24h", granularity: "hour", group: "total", metric: "sent", view: "chart", from: null, to: null };
const CHOICES = {
  range: Object.keys(RANGES),
  granularity: Object.keys(WIDTHS),
  group: Object.keys(GROUPS),
  metric: METRICS,
  view: Object.keys(VIEWS),
};

/** The selection that an address names; whatever it gets wrong is the default. */
export function readSelection(hash) {
  const named = new URLSearchParams(hash.replace(/^#/, ""));
  const selection = { ...DEFAULTS };
  for (const [name, choices] of Object.entries(CHOICES)) {
    if (choices.includes(named.get(name))) selection[name] = named.get(name);
  }
  selection.from = Date.parse(named.get("from")) || null;
  selection.to = Date.parse(named.get("to")) || null;
  const isComplete = selection.from && selection.to && selection.from < selection.to;
  return selection.range !== "custom" || isComplete ? selection : { ...selection, range: DEFAULTS.range };
}

/** Only what differs from the defaults. */
export function writeSelection(selection) {
  const named = new URLSearchParams();
  for (const name of Object.keys(CHOICES)) {
    if (selection[name] !== DEFAULTS[name]) named.set(name, selection[name]);
  }
  if (selection.range === "custom") {
    named.set("from", new Date(selection.from).toISOString());
    named.set("to", new Date(selection.to).toISOString());
  }
  return `#${named}`;
}

/** The key, and what its plan had when it was last asked, so that a reload need not ask for that first. */
export const stored = {
  read() {
    const key = sessionStorage.getItem(KEY_SLOT);
    const plan = sessionStorage.getItem(PLAN_SLOT);
    return key && { key, granularities: plan?.split(",") ?? null };
  },
  keep(key, granularities) {
    sessionStorage.setItem(KEY_SLOT, key);
    sessionStorage.setItem(PLAN_SLOT, granularities.join());
  },
  forget() {
    sessionStorage.removeItem(KEY_SLOT);
    sessionStorage.removeItem(PLAN_SLOT);
  },
};
