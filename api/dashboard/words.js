// Everything the page says about numbers, times and errors.

import { format } from "./decimal.js";

export const METRIC_WORDS = {
  sent: { title: "Sent", verb: "sent", none: "nothing was sent" },
  delivered: { title: "Delivered", verb: "delivered", none: "nothing was delivered" },
  failed: { title: "Failed", verb: "failed", none: "nothing failed" },
  cost_cents: { title: "Cost", verb: "charged", none: "the cost was 0" },
};

/** Whether more of a metric is good news (1), bad news (-1) or neither. More failures are never good. */
export const GOODNESS = { sent: 0, delivered: 1, failed: -1, cost_cents: 0 };

/** A value with its unit. */
export function amount(metric, value) {
  return metric === "cost_cents" ? `${format(value)}\u00a0¢` : format(value);
}

/** Two sums as a sentence. Where costs and credits are in them they are balances, and one below zero is a credit. */
export function sumsSentence(metric, now, before, isBalance) {
  const { verb } = METRIC_WORDS[metric];
  if (!isBalance) return `${amount(metric, now)} ${verb}, against ${amount(metric, before)} in the prior period.`;
  const told = (value) => (value < 0n ? `${amount(metric, -value)} credited` : `${amount(metric, value)} ${verb}`);
  return `On balance ${told(now)}, against ${told(before)} in the prior period.`;
}

/** How many buckets were corrected since the page first read them; nothing where there are none. */
export function correctedSentence({ corrected, granularity }) {
  if (!corrected.size) return "";
  const since = Math.min(...[...corrected.values()].map(({ at }) => at));
  return ` ${counted(corrected.size, granularity)} corrected since ${bucketName(since, "minute")} UTC.`;
}

/** What a bucket was before it was corrected. */
export function beforeWords(metric, { before, at }) {
  return `was ${amount(metric, before)} on ${bucketName(at, "minute")} UTC`;
}

export function percent(share) {
  const size = Math.abs(share * 100);
  if (size >= 1000) return `${Math.round(share + Math.sign(share)).toLocaleString("en")}×`;
  return `${size.toLocaleString("en", { maximumFractionDigits: size < 10 ? 1 : 0 })} %`;
}

/** A comparison as {sign, text}: sign is -1, 0 or 1. Without a percentage it is an amount. */
export function changeWords(metric, change) {
  const words = METRIC_WORDS[metric];
  switch (change.kind) {
    case "both-zero":
      return { sign: 0, text: `${words.none} in either period` };
    case "from-zero":
      return { sign: change.by > 0n ? 1 : -1, text: `new: ${words.none} in the prior period` };
    case "same":
      return { sign: 0, text: "the same as before" };
    default:
      return change.kind === "up"
        ? { sign: 1, text: `▲ ${difference(metric, change, change.by, "more", "higher")}` }
        : { sign: -1, text: `▼ ${difference(metric, change, -change.by, "less", "lower")}` };
  }
}

function difference(metric, { share }, size, ofShare, ofAmount) {
  return share === null ? `${amount(metric, size)} ${ofAmount}` : `${percent(share)} ${ofShare}`;
}

const TIME = { timeZone: "UTC", hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const DATE = { timeZone: "UTC", day: "numeric", month: "short" };
const clock = new Intl.DateTimeFormat("en-GB", TIME);
const clockWithSeconds = new Intl.DateTimeFormat("en-GB", { ...TIME, second: "2-digit" });
const date = new Intl.DateTimeFormat("en-GB", DATE);
const dateWithYear = new Intl.DateTimeFormat("en-GB", { ...DATE, year: "numeric" });

export const timeOfDay = (instant) => clockWithSeconds.format(instant);

/** A bucket's start as its granularity needs it. */
export function bucketName(start, granularity) {
  return granularity === "day" ? dateWithYear.format(start) : `${date.format(start)}, ${clock.format(start)}`;
}

/** "4 May, 10:00 – 5 May, 11:00 UTC". */
export function span(from, to, granularity) {
  const name = (instant) => bucketName(instant, granularity);
  return `${name(from)} – ${name(to)}${granularity === "day" ? "" : " UTC"}`;
}

export function counted(count, singular) {
  return `${count.toLocaleString("en")} ${singular}${count === 1 ? "" : "s"}`;
}

/** "12 s", "4 min", "3 h", "2 days". */
export function duration(seconds) {
  if (seconds < 120) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}

/** The name of a group for a person. */
export function groupName(key, group) {
  if (key === null) return group === "error_code" ? "no error code" : "none";
  return key === "__other__" ? "all others" : key;
}

const FAILURES = {
  UNAUTHORIZED: "This key is not accepted: it may be mistyped, expired or revoked. Enter another one.",
  FORBIDDEN: "This key may not read metrics: it lacks the scope metrics:read. Enter another one.",
  RATE_LIMITED: "Your organization asks too much at once; the numbers are asked for again in a moment.",
  UNAVAILABLE: "The metrics are unavailable at the moment; they are asked for again by themselves.",
  UNREACHABLE: "The service does not answer; it is asked again by itself. Check the connection if this goes on.",
  INTERNAL: "The service failed to answer. If this goes on, tell its operator the request id.",
};

/** A failure as a sentence. What is wrong with a question comes from the API, field by field. */
export function failureWords(failure) {
  if (FAILURES[failure.code]) return FAILURES[failure.code];
  const details = Object.entries(failure.details ?? {}).map(([name, text]) => `${name} ${text}`);
  return `The service refused the question: ${[failure.message, ...details].join("; ")}.`;
}
