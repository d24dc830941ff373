// What the page has read before, so that it can say which numbers were corrected since. It ends with the key.

import { valueOf } from "./summary.js";

const KEPT = 20_000; // buckets of a metric and granularity: two of the longest windows

export class Memory {
  #first = new Map(); // metric and granularity → start → {value, at}: what a bucket was when it was first complete

  /** Remember the numbers of an answer, and tell which were others when they were first read, and when that was:
      start → {before, at}. */
  corrected(metric, answer) {
    const first = this.#kept(`${metric} ${answer.granularity}`);
    const found = new Map();
    for (const bucket of answer.buckets) {
      const value = valueOf(bucket);
      if (value === null) continue;
      const known = first.get(bucket.start) ?? { value, at: answer.answeredAt };
      if (known.value !== value) found.set(bucket.start, { before: known.value, at: known.at });
      first.delete(bucket.start);
      first.set(bucket.start, known); // behind all others: those that were not read for longest are forgotten first
    }
    while (first.size > KEPT) first.delete(first.keys().next().value);
    return found;
  }

  #kept(name) {
    if (!this.#first.has(name)) this.#first.set(name, new Map());
    return this.#first.get(name);
  }
}
