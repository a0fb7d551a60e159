// The gateway that this page speaks to, and what is known of it: `?gateway=URL` names another one than the page comes from.

import { Rushgate } from "/shop/client/index.js";

/** Where it is; an error says what is wrong with the URL. */
export function place(search, own) {
  const given = new URLSearchParams(search).get("gateway");
  if (given === null) return own;
  let url;
  try {
    url = new URL(given);
  } catch {
    throw new Error(`gateway=${given} is no URL: write ?gateway=http://127.0.0.1:8080`);
  }
  if (!["http:", "https:"].includes(url.protocol)) {
    throw new Error(`gateway=${given} is no URL of http or https: write ?gateway=http://127.0.0.1:8080`);
  }
  if (url.username || url.password || url.search || url.hash) {
    throw new Error(`gateway=${given} has more than scheme, host, port and path: write ?gateway=${url.origin}`);
  }
  return url.origin + url.pathname.replace(/\/+$/, "");
}

/** The token of a buyer as `rushgate dev` takes it: no secret, and no proof. */
export function token(buyer, claims) {
  const query = new URLSearchParams(claims).toString().replaceAll("+", "%20");
  return `dev:${encodeURIComponent(buyer)}${query && `?${query}`}`;
}

/** A key that nobody else has; `crypto.randomUUID` is missing where the page came over plain HTTP from another machine. */
export function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export class Gateway {
  #tell;
  #asking = false;

  /** `tell(reach)` is called with "reached", "away" or "foreign" whenever a request has shown it. */
  constructor(url, tell) {
    this.url = url;
    this.#tell = tell;
  }

  /** A client for a buyer; `tell` is called for each request with the status of its answer, where one came. */
  client(token, { tell = () => {}, retryForMs } = {}) {
    const watched = async (url, options) => {
      try {
        const response = await fetch(url, options);
        this.#tell("reached");
        tell(response.status);
        return response;
      } catch (error) {
        if (options.signal?.aborted && options.signal.reason?.name !== "TimeoutError") throw error;
        tell(undefined);
        this.#find();
        throw error;
      }
    };
    return new Rushgate({ url: this.url, token, fetch: watched, retryForMs });
  }

  /** Whether nobody is there, or somebody who lets this page read nothing: a browser tells a page only that it failed. */
  async #find() {
    if (this.#asking) return;
    this.#asking = true;
    try {
      await fetch(`${this.url}/v1/campaigns`, { mode: "no-cors", cache: "no-store", signal: AbortSignal.timeout(3_000) });
      this.#tell(new URL(this.url).origin === location.origin ? "away" : "foreign");
    } catch {
      this.#tell("away");
    } finally {
      this.#asking = false;
    }
  }
}
