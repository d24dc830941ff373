// Sums and comparisons of an answer. Pure: no page, no clock.

import { ratio, sum } from "./decimal.js";

export const OTHER = "__other__";
const NAMED_SERIES = 7;

/** Value of a bucket whichever way it was asked for; null is pending. */
export function valueOf(bucket) {
  if (bucket.groups === undefined) return bucket.value;
  return bucket.groups && sum(bucket.groups.map((group) => group.value));
}

/** An answer without its groups: what they add up to is the bucket's value. */
export function totalOf(answer) {
  const plain = (bucket) => ({ start: bucket.start, value: valueOf(bucket) });
  return { ...answer, buckets: answer.buckets.map(plain), prior: answer.prior.map(plain) };
}

/** Answers that came one after the other, as of the same moment: the earliest of theirs. A bucket that was completed in
    between is pending in all of them, else a rate would divide one hour more by one hour less. */
export function atOneMoment(answers, width) {
  const known = answers.map((answer) => answer.asOf);
  const asOf = known.includes(null) ? null : Math.min(...known);
  const pending = (bucket) => ("groups" in bucket ? { ...bucket, groups: null } : { ...bucket, value: null });
  const seen = (bucket) => (asOf !== null && bucket.start + width <= asOf ? bucket : pending(bucket));
  return answers.map((answer) => ({ ...answer, asOf, buckets: answer.buckets.map(seen), prior: answer.prior.map(seen) }));
}

/** Both periods over the buckets that both know: what is pending on one side is left out of the other as well. */
export function compare(answer) {
  const pairs = answer.buckets.map((bucket, i) => [valueOf(bucket), valueOf(answer.prior[i])]);
  const complete = pairs.filter(([now, before]) => now !== null && before !== null);
  return {
    now: sum(complete.map(([now]) => now)),
    before: sum(complete.map(([, before]) => before)),
    completed: complete.length,
    buckets: pairs.length,
  };
}

/** How a sum relates to an earlier one, and by how much. From zero there is no percentage, so there is a kind for it;
    and none where a side is below zero, since from −5 to 10 is no multiple of anything: `share` is null there. */
export function change(now, before) {
  const by = now - before;
  if (before === 0n) return { kind: now === 0n ? "both-zero" : "from-zero", by };
  const share = now < 0n || before < 0n ? null : ratio(by, before);
  return { kind: by === 0n ? "same" : by > 0n ? "up" : "down", by, share };
}

/** Whether the buckets that both periods know have nothing at all: costs and credits that add up to 0 are something. */
export function isEmpty(answer) {
  return answer.buckets.every((bucket, i) => {
    const sides = [bucket, answer.prior[i]];
    return sides.some((side) => valueOf(side) === null) || sides.flatMap(partsOf).every((value) => value === 0n);
  });
}

/** Whether anything in either period is below zero. */
export function hasCredits(answer) {
  return [...answer.buckets, ...answer.prior].some((bucket) => partsOf(bucket).some((value) => value < 0n));
}

function partsOf({ value, groups }) {
  if (groups === undefined) return value === null ? [] : [value];
  return groups?.map((group) => group.value) ?? [];
}

/** Groups over all complete buckets, largest first: [{key, value, before, share}]. Amounts of different signs are no
    parts of a whole: their shares are null. */
export function ranking(answer) {
  const now = new Map();
  const before = new Map();
  answer.buckets.forEach((bucket, i) => {
    const prior = answer.prior[i];
    if (bucket.groups === null || prior.groups === null) return;
    addGroups(now, bucket.groups);
    addGroups(before, prior.groups);
  });
  const values = [...now.values()];
  const total = sum(values);
  const isMixed = values.some((value) => value < 0n) && values.some((value) => value > 0n);
  const share = (value) => (isMixed ? null : (ratio(value, total) ?? 0));
  return largestFirst(now).map(([key, value]) => ({ key, value, before: before.get(key) ?? 0n, share: share(value) }));
}

function addGroups(totals, groups, measure = (value) => value) {
  for (const { key, value } of groups) totals.set(key, (totals.get(key) ?? 0n) + measure(value));
}

function largestFirst(totals) {
  return [...totals].sort((a, b) => (a[1] === b[1] ? compareKeys(a[0], b[0]) : a[1] > b[1] ? -1 : 1));
}

function compareKeys(a, b) {
  return (a ?? "").localeCompare(b ?? "");
}

/** Values per key over time, the largest keys by name and the rest as one: [{key, values}]; null stays null. A key is as
    large as what moves in it, credits too: added up with their signs, the busiest key might come last. */
export function seriesByKey(answer) {
  const totals = new Map();
  for (const bucket of answer.buckets) addGroups(totals, bucket.groups ?? [], (value) => (value < 0n ? -value : value));
  const keys = largestFirst(totals).map(([key]) => key);
  const named = new Set(keys.length > NAMED_SERIES + 1 ? keys.slice(0, NAMED_SERIES) : keys);
  const names = keys.length > named.size ? [...named, OTHER] : [...named];
  const columns = new Map(names.map((key) => [key, answer.buckets.map((bucket) => (bucket.groups ? 0n : null))]));
  answer.buckets.forEach((bucket, i) => {
    for (const { key, value } of bucket.groups ?? []) {
      columns.get(named.has(key) ? key : OTHER)[i] += value;
    }
  });
  return [...columns].map(([key, values]) => ({ key, values }));
}

/** Runs of pending buckets as [first, last] indices. */
export function pendingRuns(buckets) {
  const runs = [];
  buckets.forEach((bucket, i) => {
    if (valueOf(bucket) !== null) return;
    if (runs.length && runs.at(-1)[1] === i - 1) runs.at(-1)[1] = i;
    else runs.push([i, i]);
  });
  return runs;
}
