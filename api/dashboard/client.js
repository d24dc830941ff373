// The public endpoint, and nothing else of the server: pages are followed, answers kept by their ETag.

import { parse } from "./decimal.js";

const PATH = "/v1/metrics/messages";
const PAGE_BUCKETS = 5000;
const KEPT_ANSWERS = 32; // each new bucket is a new address, and a page may stay open for days
const RETRIES = 3;
const AT_ONCE = 4; // half of what the server lets an organization ask at once: this may not be its only page

/** What the API, or the way to it, refused. `code` is the API's, or UNREACHABLE. */
export class ApiFailure extends Error {
  constructor({ code, message, requestId = null, details = null }) {
    super(message);
    Object.assign(this, { code, requestId, details });
  }
}

export class Client {
  #key;
  #running = 0;
  #waiting = [];
  #kept = new Map(); // address → {etag, page}: in memory only, since a browser's own cache would outlive the tab

  constructor(key) {
    this.#key = key;
  }

  /** All pages of a query as one answer; instants are epoch milliseconds, values millionths (see decimal.js). */
  async query(parameters, signal) {
    let page = await this.#page({ ...parameters, limit: PAGE_BUCKETS }, signal);
    const answer = { ...page, buckets: [...page.buckets], prior: page.prior && [...page.prior] };
    while (page.nextCursor !== null) {
      page = await this.#page({ cursor: page.nextCursor, limit: PAGE_BUCKETS }, signal);
      answer.buckets.push(...page.buckets);
      answer.prior?.push(...page.prior);
    }
    // Each page has its own as_of, and it only rises: the first page's is what holds for all of them.
    return answer;
  }

  /** A single page, for what only the head of an answer tells. */
  async first(parameters, signal) {
    return this.#page({ ...parameters, limit: 1 }, signal);
  }

  /** The same query as the server writes it for spreadsheets, page after page under one heading. */
  async csv(parameters) {
    const lines = [];
    let next = { ...parameters, limit: PAGE_BUCKETS };
    while (next) {
      const response = await this.#take(address(next), { Accept: "text/csv" });
      const text = await response.text();
      lines.push(lines.length ? text.slice(text.indexOf("\n") + 1) : text);
      const cursor = response.headers.get("X-Next-Cursor");
      next = cursor && { cursor, limit: PAGE_BUCKETS };
    }
    return lines.join("");
  }

  async #page(parameters, signal) {
    const url = address(parameters);
    const kept = this.#kept.get(url);
    const response = await this.#take(url, kept ? { "If-None-Match": kept.etag } : {}, signal);
    if (response.status === 304) return { ...kept.page, ...readHead(response.headers) };
    const page = readPage(await response.text());
    this.#keep(url, { etag: response.headers.get("ETag"), page });
    return { ...page, ...readHead(response.headers) };
  }

  #keep(url, answer) {
    this.#kept.set(url, answer);
    if (this.#kept.size > KEPT_ANSWERS) this.#kept.delete(this.#kept.keys().next().value);
  }

  /** Fetch when it is this one's turn. What nobody wants any more is not sent, but what is on its way ends: the
      server would go on with it anyway. */
  async #take(url, headers, signal) {
    if (this.#running >= AT_ONCE) await new Promise((resolve) => this.#waiting.push(resolve));
    this.#running += 1;
    try {
      signal?.throwIfAborted();
      return await this.#fetch(url, headers);
    } finally {
      this.#running -= 1;
      this.#waiting.shift()?.();
    }
  }

  async #fetch(url, headers, attempt = 1) {
    const options = { headers: { Authorization: `Bearer ${this.#key}`, ...headers }, cache: "no-store", credentials: "omit" };
    const response = await fetch(url, options).catch(() => {
      throw new ApiFailure({ code: "UNREACHABLE", message: "the service does not answer" });
    });
    if (response.ok || response.status === 304) return response;
    if (response.status === 429 && attempt < RETRIES) {
      await wait(Number(response.headers.get("Retry-After")) || 1);
      return this.#fetch(url, headers, attempt + 1);
    }
    throw await readFailure(response);
  }
}

function address(parameters) {
  const asked = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined);
  return `${PATH}?${new URLSearchParams(asked)}`;
}

function wait(seconds) {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}

/** as_of moves every second while numbers stay, so the ETag leaves it out: only the headers have today's. */
function readHead(headers) {
  const asOf = headers.get("X-As-Of");
  return {
    asOf: asOf && Date.parse(asOf),
    answeredAt: Date.parse(headers.get("Date")) || Date.now(),
    granularities: (headers.get("X-Granularities") ?? "").split(", ").filter(Boolean),
  };
}

/** Numbers are turned into texts before JSON.parse would turn them into doubles. A quote inside of a JSON string is
    always escaped, so `"value":` is only ever a field. A cost may be below zero. */
function readPage(text) {
  const { data, meta } = JSON.parse(text.replace(/"value":(-?[0-9.]+)/g, '"value":"$1"'));
  return {
    granularity: data.granularity,
    from: Date.parse(data.from),
    to: Date.parse(data.to),
    buckets: data.buckets.map(readBucket),
    prior: data.comparison ? data.comparison.buckets.map(readBucket) : null,
    nextCursor: meta.next_cursor,
  };
}

function readBucket({ bucket_start, value, groups }) {
  const start = Date.parse(bucket_start);
  if (groups === undefined) return { start, value: readValue(value) };
  return { start, groups: groups && groups.map((group) => ({ key: group.key, value: readValue(group.value) })) };
}

function readValue(value) {
  return value === null ? null : parse(value);
}

async function readFailure(response) {
  const requestId = response.headers.get("X-Request-Id");
  try {
    const { error } = await response.json();
    return new ApiFailure({ code: error.code, message: error.message, requestId, details: error.details });
  } catch {
    const message = `the service answered with status ${response.status}`;
    return new ApiFailure({ code: "UNREACHABLE", message, requestId });
  }
}
