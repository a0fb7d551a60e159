// The order that is shown: its state as it changes, how it is heard of, and whether it can be cancelled.

import { Refused } from "/shop/client/index.js";

import { newKey } from "./gateway.js";
import { at, element } from "./page.js";
import * as words from "./words.js";

const SECOND_MS = 1_000;

export class Live {
  #changed;
  #stop = new AbortController();
  #heard;
  #client;
  #order;
  /** Campaigns that have said that buyers cannot cancel. */
  #firm = new Set();

  /** `changed` is called whenever the order has become something else. */
  constructor(changed) {
    this.#changed = changed;
    setInterval(() => this.#age(), SECOND_MS);
    at("cancel").addEventListener("click", () => this.#cancel());
  }

  /** Shows an order, and what becomes of it from now on. */
  async follow(client, order) {
    this.#stop.abort();
    const { signal } = (this.#stop = new AbortController());
    this.#client = client;
    this.#heard = Date.now();
    this.#show(order);
    this.#line("asked");
    try {
      const onLine = (line) => signal.aborted || this.#line(line);
      for await (const now of client.follow(order.campaign, order.order, { signal, onLine })) {
        if (signal.aborted) return;
        this.#show(now);
      }
      this.#line("ended");
    } catch (error) {
      if (signal.aborted) return;
      this.#line("ended");
      at("state").textContent = error instanceof Refused ? words.problem(error).join(" ") : error.message;
    }
  }

  #show(order) {
    const changed = this.#order?.order !== order.order || this.#order.state !== order.state;
    this.#order = order;
    Object.assign(at("order").dataset, { order: order.order, state: order.state });
    if (!changed) return;
    at("state").textContent = words.state(order);
    at("steps").replaceChildren(...words.steps(order).map(([name, className]) => element("li", name, { className })));
    const facts = [
      ["Order", order.order],
      ["What", `${order.quantity} × ${order.sku}, ${order.campaign}`],
      ["Placed", words.time(order.placed_at)],
      ["Confirmed", order.confirmed_at ? words.time(order.confirmed_at) : "not yet"],
      ["Rules", `revision ${order.revision}`],
    ];
    at("facts").replaceChildren(...facts.flatMap(([name, text]) => [element("dt", name), element("dd", text)]));
    this.#offerCancel();
    this.#changed(order);
  }

  /** How the order is heard of; anything but "cut" is something heard. */
  #line(line) {
    if (line !== "cut") this.#heard = Date.now();
    if (at("order").dataset.line !== line) {
      at("order").dataset.line = line;
      at("line-word").textContent = words.line(line);
    }
    this.#age();
  }

  #age() {
    const ended = at("order").dataset.line === "ended";
    at("line-age").textContent = this.#heard && !ended ? `Last heard ${words.age(Date.now() - this.#heard)}.` : "";
  }

  #offerCancel() {
    const { state, campaign } = this.#order;
    const firm = this.#firm.has(campaign);
    at("cancel").disabled = state !== "confirmed" || firm;
    at("cancel").textContent = firm ? "This campaign lets no buyer cancel" : "Cancel the order";
  }

  async #cancel() {
    const { campaign, order } = this.#order;
    at("cancel").disabled = true;
    try {
      this.#show(await this.#client.cancel(campaign, order, { key: newKey() }));
    } catch (error) {
      if (error instanceof Refused && error.reason === "cancel-not-allowed") this.#firm.add(campaign);
      at("state").textContent = error instanceof Refused ? words.problem(error).join(" ") : error.message;
      this.#offerCancel();
    }
  }
}
