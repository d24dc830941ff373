// Rates out of totals: what was counted between two answers, over the time between them.

const WINDOW_SECONDS = 30;

export class Rates {
  #answers = [];

  /** Note an answer's totals. A process that began anew has smaller ones: the older answers are void. */
  note(process) {
    if (this.#answers.length && process.uptime_seconds < this.#answers.at(-1).uptime_seconds) this.#answers = [];
    this.#answers.push(process);
    while (process.uptime_seconds - this.#answers[0].uptime_seconds > WINDOW_SECONDS) this.#answers.shift();
  }

  /** Per second, over the last half minute; since the process began while there is one answer only. */
  of(read) {
    const newest = this.#answers.at(-1);
    const isFirst = this.#answers.length === 1;
    const seconds = newest.uptime_seconds - (isFirst ? 0 : this.#answers[0].uptime_seconds);
    return (read(newest) - (isFirst ? 0 : read(this.#answers[0]))) / Math.max(seconds, 0.001);
  }
}
