// A client of rushgate's data plane: places orders once, retries them safely, and follows them live.

import { events } from "./events.js";

/** States after which nothing happens to an order any more. */
const FINAL = new Set(["revoked", "cancelled", "expired", "refunded"]);
/** Answers after which the same request may be sent again. */
const PASSING = new Set([429, 500, 502, 503, 504]);
const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 5_000;
const POLL_MS = 1_000;
/** So often the gateway is asked for an order, before a stream is tried again. */
const POLLS = 10;
/** A stream in which nothing arrives for so long, not even a comment, is dead. */
const SILENCE_MS = 45_000;
/** A stream that did not come about, because nobody answered; after so many of them, the gateway is asked for the order, too. */
const BROKEN = Object.freeze([]);
const BROKEN_MAX = 3;
/** Nothing happens to the order any more. */
const NOTHING = Object.freeze([]);

/** The gateway's answer is no: `reason` says why, `retryable` whether asking again later can help. */
export class Refused extends Error {
  constructor(status, document, retryAfter) {
    super(document.detail ?? document.title ?? `the gateway answered ${status}`);
    this.name = "Refused";
    this.status = status;
    this.reason = document.reason;
    this.retryable = document.retryable ?? PASSING.has(status);
    /** Milliseconds, where the gateway said when to come again. */
    this.retryAfter = retryAfter;
    this.document = document;
  }
}

/** Nothing is known: the gateway did not answer in time. The same call with the same key finds out. */
export class Unanswered extends Error {
  constructor(message, options) {
    super(message, options);
    this.name = "Unanswered";
  }
}

export class Rushgate {
  #base;
  #token;
  #fetch;
  #timeout;
  #patience;

  /**
   * @param {object} options
   * @param {string} options.url where the gateway is: `https://gate.example`
   * @param {string | (() => string | Promise<string>)} [options.token] asked for before each request
   * @param {typeof fetch} [options.fetch]
   * @param {number} [options.timeoutMs] of one request
   * @param {number} [options.retryForMs] how long a request is sent again
   */
  constructor({ url, token, fetch = globalThis.fetch, timeoutMs = 5_000, retryForMs = 30_000 }) {
    this.#base = url.replace(/\/+$/, "");
    this.#token = token;
    this.#fetch = (...asked) => fetch(...asked);
    this.#timeout = timeoutMs;
    this.#patience = retryForMs;
  }

  /**
   * Places an order. Whatever becomes of single requests, it is one order: all of them carry one key.
   * With `waitSeconds`, the answer is waited for until the order is confirmed, at most so long.
   */
  async place(campaign, order, { key = crypto.randomUUID(), waitSeconds, signal } = {}) {
    const headers = { "content-type": "application/json", "idempotency-key": key };
    if (waitSeconds) headers.prefer = `wait=${waitSeconds}`;
    const { body } = await this.#ask("POST", path(campaign, "orders"), {
      headers,
      body: JSON.stringify(order),
      signal,
      timeout: this.#timeout + 1_000 * (waitSeconds ?? 0),
    });
    return body;
  }

  async order(campaign, order, { signal } = {}) {
    return (await this.#ask("GET", path(campaign, "orders", order), { signal })).body;
  }

  /** Cancels an order that is not paid, where the sale allows that. */
  async cancel(campaign, order, { key = crypto.randomUUID(), signal } = {}) {
    const headers = { "idempotency-key": key };
    return (await this.#ask("POST", path(campaign, "orders", order, "cancel"), { headers, signal })).body;
  }

  /** The buyer's own orders that have landed, newest first, of one campaign or of all. */
  async *orders({ campaign, limit, signal } = {}) {
    const where = campaign === undefined ? "/v1/orders" : path(campaign, "orders");
    yield* this.#pages(where, "orders", limit, signal);
  }

  /** Sales that are on, and those to come. */
  async *campaigns({ limit, signal } = {}) {
    yield* this.#pages("/v1/campaigns", "campaigns", limit, signal);
  }

  async campaign(campaign, { signal } = {}) {
    return (await this.#ask("GET", path(campaign), { signal })).body;
  }

  /** What this buyer may still buy; with an order in mind, whether it would be refused. */
  async quota(campaign, { sku, quantity, attributes = {}, signal } = {}) {
    const query = new URLSearchParams();
    if (sku !== undefined) query.set("sku", sku);
    if (quantity !== undefined) query.set("quantity", String(quantity));
    Object.entries(attributes).forEach(([name, value]) => query.set(`client.${name}`, value));
    return (await this.#ask("GET", withQuery(path(campaign, "quota"), query), { signal })).body;
  }

  /**
   * Yields an order now and each time it has changed, until nothing can happen to it any more. Where no stream comes about, the
   * gateway is asked again and again; where nobody answers, it goes on until `signal` says that nobody waits.
   *
   * `onLine` is told how it hears: "live" for all that arrives over a stream, heartbeats too, "asked" for each answer without one,
   * and "cut" when there is neither.
   */
  async *follow(campaign, order, { signal, onLine = () => {} } = {}) {
    let [last, pause, broken] = [undefined, FIRST_PAUSE_MS, 0];
    let told;
    for (;;) {
      const stream = await this.#stream(path(campaign, "orders", order, "events"), last, signal, onLine);
      broken = stream === BROKEN ? broken + 1 : 0;
      if (broken) onLine("cut");
      // Nobody answers, or nobody answers streams alone: the more of them broke, the longer until the next one.
      const polls = stream === undefined ? POLLS : Math.min(Math.floor(2 ** (broken - BROKEN_MAX)), POLLS);
      const source = polls ? this.#polled(campaign, order, polls, signal, onLine) : stream;
      let heard = false;
      for await (const { id, data } of source) {
        pause = FIRST_PAUSE_MS;
        heard = true;
        last = id ?? last;
        const now = JSON.stringify(data);
        if (now !== told) yield data;
        told = now;
        if (isFinal(data)) return;
      }
      signal?.throwIfAborted();
      // The gateway ends streams by itself: when it is replaced, when the token runs out, and when nothing follows, which it says
      // when it is asked for what comes after the last event.
      if (stream === NOTHING || (source !== stream && heard && isResting(JSON.parse(told)))) return;
      if (source === stream) onLine("cut");
      await sleep(pause * (0.5 + Math.random()), signal);
      pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
    }
  }

  /** Events of a path; nothing where there is no stream there, and `BROKEN` where nobody answered. */
  async #stream(where, last, signal, onLine) {
    const headers = { accept: "text/event-stream" };
    if (last !== undefined) headers["last-event-id"] = last;
    const ended = new AbortController();
    const stop = () => ended.abort(signal?.reason);
    signal?.addEventListener("abort", stop, { once: true });
    let silence;
    const stopped = () => {
      clearTimeout(silence);
      signal?.removeEventListener("abort", stop);
    };
    const alive = () => {
      clearTimeout(silence);
      silence = setTimeout(() => ended.abort(), SILENCE_MS);
    };
    try {
      alive();
      const response = await this.#send("GET", where, { headers, signal: ended.signal });
      const type = response.headers.get("content-type") ?? "";
      if (response.status === 204) {
        stopped();
        return NOTHING;
      }
      if (!response.ok && ![404, 405, 406, 429].includes(response.status) && !PASSING.has(response.status)) {
        throw await refused(response);
      }
      if (!response.ok || !type.startsWith("text/event-stream") || !response.body) {
        stopped();
        return undefined;
      }
      onLine("live");
      const heard = () => {
        alive();
        onLine("live");
      };
      return read(response.body, heard, stopped);
    } catch (error) {
      stopped();
      signal?.throwIfAborted();
      if (error instanceof Refused) throw error;
      return BROKEN;
    }
  }

  /** The same by asking, so often: then a stream is tried again. */
  async *#polled(campaign, order, polls, signal, onLine) {
    for (let n = 0; n < polls; n += 1) {
      try {
        const data = await this.order(campaign, order, { signal });
        onLine("asked");
        yield { data };
      } catch (error) {
        signal?.throwIfAborted();
        if (error instanceof Refused && !PASSING.has(error.status)) throw error;
        onLine("cut");
      }
      await sleep(POLL_MS * (0.75 + Math.random() / 2), signal);
    }
  }

  async *#pages(where, name, limit, signal) {
    let next;
    do {
      const query = new URLSearchParams();
      if (limit) query.set("limit", String(limit));
      if (next) query.set("before", next);
      const { body } = await this.#ask("GET", withQuery(where, query), { signal });
      yield* body[name];
      next = body.next;
    } while (next);
  }

  /** One request, sent again until it is answered for good. */
  async #ask(method, where, { headers = {}, body, signal, timeout = this.#timeout } = {}) {
    const until = Date.now() + this.#patience;
    for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
      let why;
      let wait = pause * (0.5 + Math.random());
      try {
        const limit = AbortSignal.timeout(timeout);
        const asked = { headers, body, signal: signal ? AbortSignal.any([signal, limit]) : limit };
        const response = await this.#send(method, where, asked);
        if (response.ok) return { status: response.status, body: await response.json() };
        why = await refused(response);
        if (!PASSING.has(response.status)) throw why;
        wait = why.retryAfter ?? wait;
      } catch (error) {
        signal?.throwIfAborted();
        if (error instanceof Refused && !PASSING.has(error.status)) throw error;
        why = error;
      }
      if (Date.now() + wait > until) {
        if (why instanceof Refused) throw why;
        throw new Unanswered(`${method} ${where} was not answered`, { cause: why });
      }
      await sleep(wait, signal);
    }
  }

  async #send(method, where, { headers, body, signal }) {
    const token = typeof this.#token === "function" ? await this.#token() : this.#token;
    const all = token === undefined ? headers : { ...headers, authorization: `Bearer ${token}` };
    return this.#fetch(this.#base + where, { method, headers: all, body, signal, credentials: "omit" });
  }
}

async function* read(body, alive, ended) {
  try {
    for await (const { id, data } of events(body, alive)) {
      yield { id, data: JSON.parse(data) };
    }
  } catch (error) {
    // A connection that broke is made anew; what came over it is good.
    if (error instanceof SyntaxError) throw error;
  } finally {
    ended();
  }
}

/** Nothing happens to it any more. */
function isFinal(order) {
  return FINAL.has(order.state);
}

/** Where there is no stream that says so: it need not be paid, and stays as it is. */
function isResting(order) {
  return order.state === "confirmed" && order.pay_by === undefined;
}

function path(campaign, ...parts) {
  return ["/v1/campaigns", campaign, ...parts].map((part, n) => (n ? encodeURIComponent(part) : part)).join("/");
}

function withQuery(where, query) {
  return query.size ? `${where}?${query}` : where;
}

async function refused(response) {
  let document = {};
  try {
    document = await response.json();
  } catch {
    // Something between has answered, and not the gateway.
  }
  const seconds = Number(response.headers.get("retry-after") ?? NaN);
  return new Refused(response.status, document, Number.isFinite(seconds) ? 1_000 * seconds : undefined);
}

function sleep(ms, signal) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    signal?.addEventListener("abort", stop, { once: true });
  });
}
