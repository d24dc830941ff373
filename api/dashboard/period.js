// Which buckets are shown: ranges, granularities, and why one of them can't be had. Instants are epoch milliseconds.

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export const MAX_BUCKETS = 10_000;
/** Finest first. Buckets are UTC, so every one of a granularity is equally wide. */
export const WIDTHS = { minute: MINUTE, hour: HOUR, day: DAY };
export const RANGES = {
  "1h": { label: "1 h", words: "the last hour", span: HOUR },
  "6h": { label: "6 h", words: "the last 6 hours", span: 6 * HOUR },
  "24h": { label: "24 h", words: "the last 24 hours", span: DAY },
  "7d": { label: "7 d", words: "the last 7 days", span: 7 * DAY },
  "30d": { label: "30 d", words: "the last 30 days", span: 30 * DAY },
  "90d": { label: "90 d", words: "the last 90 days", span: 90 * DAY },
  custom: { label: "Custom", words: "the chosen range", span: null },
};

/** The window of a selection, widened outward to whole buckets as the API does it. */
export function windowOf({ range, from, to }, granularity, now) {
  const width = WIDTHS[granularity];
  const until = range === "custom" ? to : now;
  const since = range === "custom" ? from : now - RANGES[range].span;
  return { from: Math.floor(since / width) * width, to: Math.ceil(until / width) * width };
}

/** Why a granularity can't be chosen, as the end of a sentence; null when it can. */
export function refusal(granularity, selection, allowed, now) {
  if (!allowed.includes(granularity)) return `not in this key's plan, whose finest granularity is the ${allowed.at(-1)}`;
  const { from, to } = windowOf(selection, granularity, now);
  const count = (to - from) / WIDTHS[granularity];
  if (count <= MAX_BUCKETS) return null;
  return `${count.toLocaleString("en")} buckets in this range, and at most ${MAX_BUCKETS.toLocaleString("en")} can be shown`;
}

/** The wished granularity, or the next coarser one that can be had. */
export function usable(wish, selection, allowed, now) {
  const names = Object.keys(WIDTHS);
  const coarser = names.slice(names.indexOf(wish));
  return coarser.find((name) => refusal(name, selection, allowed, now) === null) ?? "day";
}
